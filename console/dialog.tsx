// A question that is put before something is ordered. The browser's own dialog: it keeps the focus, and Escape closes it.

import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { lookNow } from './live.ts';

export const Dialog = ({
  title,
  confirm,
  grave = false,
  ready,
  act,
  onClose,
  children,
}: {
  readonly title: string;
  /** The words of the button that does it. */
  readonly confirm: string;
  /** It cannot be taken back. */
  readonly grave?: boolean;
  readonly ready: boolean;
  /** @param key sent again under the same, it is the same order */
  readonly act: (key: string) => Promise<void>;
  readonly onClose: (done: boolean) => void;
  readonly children: ComponentChildren;
}) => {
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useId();
  const [key] = useState(() => crypto.randomUUID());
  const [busy, setBusy] = useState(false);
  const [trouble, setTrouble] = useState('');
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  const submit = async (): Promise<void> => {
    setBusy(true);
    try {
      await act(key);
      lookNow();
      onClose(true);
    } catch (error) {
      setTrouble(error instanceof Error ? error.message : String(error));
      setBusy(false);
    }
  };
  return (
    <dialog ref={dialog} aria-labelledby={heading} onClose={() => onClose(false)}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (ready && !busy) void submit();
        }}
      >
        <h2 id={heading}>{title}</h2>
        {children}
        {trouble === '' ? null : (
          <p class="notice trouble" role="alert">
            {trouble}
          </p>
        )}
        <div class="buttons">
          <button type="button" onClick={() => dialog.current?.close()}>
            Cancel
          </button>
          <button type="submit" class={grave ? 'grave' : 'primary'} disabled={!ready || busy}>
            {busy ? 'Sending…' : confirm}
          </button>
        </div>
      </form>
    </dialog>
  );
};

export const Reason = ({ value, onInput }: { value: string; onInput: (text: string) => void }) => (
  <label class="field">
    <span>Why? It is kept in the audit trail.</span>
    <input
      type="text"
      maxLength={500}
      value={value}
      autoComplete="off"
      onInput={(event) => onInput(event.currentTarget.value)}
    />
  </label>
);
