// A list of any length: only the rows in and around the window are in the document. One stop of the Tab key; arrows, Page Up
// and Down, Home and End go from row to row.

import type { JSX } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';

/** Rows above and below the window. */
const beyond = 8;

const rangeOf = (list: HTMLElement, height: number, count: number): readonly [number, number] => {
  const top = -list.getBoundingClientRect().top;
  const first = Math.max(0, Math.floor(top / height) - beyond);
  const last = Math.min(count, Math.ceil((top + innerHeight) / height) + beyond);
  return [Math.min(first, count), Math.max(last, 0)];
};

export const List = <T,>({
  items,
  height,
  label,
  keyOf,
  href,
  draw,
  onRange,
}: {
  readonly items: readonly T[];
  /** Of a row, in pixels. */
  readonly height: number;
  readonly label: string;
  readonly keyOf: (item: T) => string;
  readonly href: (item: T) => string;
  readonly draw: (item: T) => JSX.Element;
  readonly onRange: (items: readonly T[]) => void;
}) => {
  const list = useRef<HTMLUListElement>(null);
  const [[first, last], setRange] = useState<readonly [number, number]>([0, 30]);
  /** The row that Tab comes to. */
  const [current, setCurrent] = useState(0);
  const wanted = useRef<number | undefined>(undefined);
  const count = items.length;
  const stop = Math.min(current, count - 1);

  useLayoutEffect(() => {
    const look = (): void => {
      if (list.current === null) return;
      const next = rangeOf(list.current, height, count);
      setRange((was) => (was[0] === next[0] && was[1] === next[1] ? was : next));
    };
    look();
    addEventListener('scroll', look, { passive: true });
    addEventListener('resize', look);
    return () => {
      removeEventListener('scroll', look);
      removeEventListener('resize', look);
    };
  }, [height, count]);

  useEffect(() => onRange(items.slice(first, last)), [items, first, last, onRange]);

  const focus = (index: number): boolean => {
    const row = list.current?.querySelector<HTMLElement>(`[data-index="${index}"]`);
    row?.focus({ preventScroll: true });
    return row !== undefined && row !== null;
  };
  useLayoutEffect(() => {
    if (wanted.current !== undefined && focus(wanted.current)) wanted.current = undefined;
  });

  const go = (to: number): void => {
    if (list.current === null || count === 0) return;
    const index = Math.max(0, Math.min(count - 1, to));
    wanted.current = index;
    setCurrent(index);
    const top = list.current.getBoundingClientRect().top + scrollY + index * height;
    const room = 3 * height;
    if (top < scrollY + room) scrollTo(0, top - room);
    else if (top + height > scrollY + innerHeight - height) scrollTo(0, top + 2 * height - innerHeight);
  };
  const page = Math.max(1, Math.floor((globalThis.innerHeight ?? 0) / height) - 2);
  const moves: Readonly<Record<string, number>> = {
    ArrowDown: stop + 1,
    ArrowUp: stop - 1,
    PageDown: stop + page,
    PageUp: stop - page,
    Home: 0,
    End: count - 1,
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const to = moves[event.key];
    if (to === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    go(to);
  };

  const shown: number[] = [];
  for (let index = first; index < Math.min(last, count); index += 1) shown.push(index);
  // The row with the focus stays, wherever the window goes.
  if (stop >= 0 && !shown.includes(stop)) shown.push(stop);

  return (
    <ul class="rows" ref={list} aria-label={label} style={{ height: `${count * height}px` }}>
      {shown.map((index) => {
        const item = items[index];
        return item === undefined ? null : (
          <li
            key={keyOf(item)}
            aria-setsize={count}
            aria-posinset={index + 1}
            style={{ transform: `translateY(${index * height}px)`, height: `${height}px` }}
          >
            <a
              href={href(item)}
              data-index={index}
              tabIndex={index === stop ? 0 : -1}
              onFocus={() => setCurrent(index)}
              onKeyDown={onKeyDown}
            >
              {draw(item)}
            </a>
          </li>
        );
      })}
    </ul>
  );
};
