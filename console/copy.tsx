// A button that copies a text, and says that it did.

import { useEffect, useState } from 'preact/hooks';

const shownFor = 2_000;

export const Copy = ({ text, what }: { readonly text: string; readonly what: string }) => {
  const [state, setState] = useState<'idle' | 'done' | 'failed'>('idle');
  useEffect(() => {
    if (state === 'idle') return undefined;
    const timer = setTimeout(() => setState('idle'), shownFor);
    return () => clearTimeout(timer);
  }, [state]);
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
      setState('done');
    } catch {
      // The browser asks first, or has no clipboard: the text stands there to be marked.
      setState('failed');
    }
  };
  return (
    <>
      <button type="button" class="small" aria-label={`Copy ${what}`} onClick={() => void copy()}>
        {state === 'done' ? 'Copied' : state === 'failed' ? 'Not allowed' : 'Copy'}
      </button>
      <span class="hidden" role="status">
        {state === 'done'
          ? `Copied ${what}`
          : state === 'failed'
            ? 'The browser does not let it be copied'
            : ''}
      </span>
    </>
  );
};
