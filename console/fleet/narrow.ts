// Whether the window is as narrow as a phone's: rows are higher there. The same width stands in style.css.

import { useEffect, useState } from 'preact/hooks';

const query = matchMedia('(max-width: 720px)');

export const useNarrow = (): boolean => {
  const [narrow, setNarrow] = useState(query.matches);
  useEffect(() => {
    const changed = (): void => setNarrow(query.matches);
    query.addEventListener('change', changed);
    return () => query.removeEventListener('change', changed);
  }, []);
  return narrow;
};
