// As much XML as Route 53's requests and answers have: elements and text, no attributes that matter. Pure.

export interface Element {
  readonly name: string;
  readonly children: readonly Element[];
  readonly text: string;
}

const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

const decodeEntities = (text: string): string =>
  text.replaceAll(/&(#x?)?(\w+);/g, (whole, number: string | undefined, name: string) =>
    number === undefined
      ? (entities[name] ?? whole)
      : String.fromCodePoint(Number.parseInt(name, number === '#x' ? 16 : 10)),
  );

export const escapeXml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/** Undefined where the text is not one well-formed element. */
export const parseXml = (text: string): Element | undefined => {
  interface Open {
    readonly name: string;
    readonly children: Element[];
    text: string;
  }
  const top: Open = { name: '', children: [], text: '' };
  const open: Open[] = [top];
  const body = text.replace(/^\s*<\?xml[^>]*\?>/, '');
  for (const [, close, name, empty, characters] of body.matchAll(
    /<(\/?)([A-Za-z][\w.-]*)[^<>]*?(\/?)>|([^<]+)/g,
  )) {
    const parent = open.at(-1);
    if (parent === undefined) return undefined;
    if (characters !== undefined) {
      parent.text += decodeEntities(characters);
      continue;
    }
    if (name === undefined) return undefined;
    if (close === '/') {
      if (parent.name !== name) return undefined;
      open.pop();
      continue;
    }
    const element: Open = { name, children: [], text: '' };
    parent.children.push(element);
    if (empty !== '/') open.push(element);
  }
  return open.length === 1 && top.children.length === 1 ? top.children[0] : undefined;
};

export const all = (element: Element | undefined, name: string): readonly Element[] =>
  element?.children.filter((child) => child.name === name) ?? [];

export const one = (element: Element | undefined, name: string): Element | undefined => all(element, name)[0];

/** Undefined where there is no such child. */
export const textOf = (element: Element | undefined, name: string): string | undefined =>
  one(element, name)?.text;
