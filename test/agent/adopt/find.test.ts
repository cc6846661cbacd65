// What is found in an OpenDKIM's configuration: each test is a small one, as administrators write them.
import { describe, expect, it } from 'vitest';
import { findKeys } from '../../../agent/adopt/find.ts';
import { parseConf } from '../../../agent/opendkim/conf.ts';
import { signingTable } from '../../../agent/signing/signing-table.ts';

const file = '/etc/opendkim.conf';

const find = (
  conf: string,
  files: Readonly<Record<string, string>> = {},
  domains: readonly string[] = [],
) => {
  const settings = parseConf(conf, file);
  const get = (name: string) =>
    settings.findLast((one) => one.name.toLowerCase() === name.toLowerCase())?.value;
  return findKeys({
    conf: {
      file,
      settings,
      get,
      flag: (name, otherwise) => (get(name) === undefined ? otherwise : /^[ty1]/i.test(get(name) ?? '')),
    },
    read: async (path) => {
      const text = files[path];
      if (text === undefined) throw new Error('no such file');
      return text;
    },
    domains,
  });
};

const tables = 'KeyTable /etc/opendkim/KeyTable\nSigningTable refile:/etc/opendkim/SigningTable\n';
const inTables = (keys: string, signing: string, conf = tables, domains: readonly string[] = []) =>
  find(conf, { '/etc/opendkim/KeyTable': keys, '/etc/opendkim/SigningTable': signing }, domains);
const names = ({ keys }: Awaited<ReturnType<typeof find>>) =>
  keys.map(({ domain, selector, file: path }) => `${selector} ${domain} ${path}`);

describe('a configuration with one key', () => {
  const single = 'Domain example.jp\nSelector mail\nKeyFile /etc/dkimkeys/mail.private\n';

  it('is for that domain', async () => {
    const found = await find(single);
    expect(found).toEqual({
      keys: [
        {
          domain: 'example.jp',
          selector: 'mail',
          file: '/etc/dkimkeys/mail.private',
          by: '/etc/opendkim.conf (Domain)',
        },
      ],
      table: [],
      remarks: [],
    });
  });

  it('may be for several, in a list or in a file, and names have no case', async () => {
    const list = single.replace('example.jp', 'csl:Example.JP, b.example').replace('mail\n', 'Mail\n');
    expect(names(await find(list))).toEqual([
      'mail example.jp /etc/dkimkeys/mail.private',
      'mail b.example /etc/dkimkeys/mail.private',
    ]);
    const inFile = single.replace('example.jp', 'refile:/etc/opendkim/domains');
    expect(names(await find(inFile, { '/etc/opendkim/domains': '# ours\nc.example\nd.example\n' }))).toEqual([
      'mail c.example /etc/dkimkeys/mail.private',
      'mail d.example /etc/dkimkeys/mail.private',
    ]);
    await expect(find(single.replace('example.jp', 'dsn:mysql://x'))).rejects.toMatchObject({
      field: 'Domain',
    });
  });

  it('with SubDomains is for the domains below too', async () => {
    expect((await find(`${single}SubDomains yes\n`)).table).toEqual([
      { match: '*@*.example.jp', domain: 'example.jp' },
    ]);
  });

  it('that lacks something signs nothing', async () => {
    await expect(find('Domain example.jp\nMode sv\n')).rejects.toMatchObject({
      message:
        '/etc/opendkim.conf signs nothing: it has neither KeyTable and SigningTable, nor Selector and KeyFile.',
    });
  });

  it('that only verifies says so', async () => {
    expect((await find(`${single}Mode v\n`)).remarks).toEqual([
      '/etc/opendkim.conf only verifies (Mode v): nothing was signed',
    ]);
  });
});

describe('tables', () => {
  it('name keys by who writes, each once', async () => {
    const found = await inTables(
      'one example.jp:mail:/k/mail\ntwo b.example:2020:/k/b # b\n\nspare c.example:x:/k/c\n',
      '*@example.jp one\nuser@example.jp one\n*@b.example two\n',
    );
    expect(names(found)).toEqual(['mail example.jp /k/mail', '2020 b.example /k/b']);
    expect(found.keys[1]?.by).toBe('/etc/opendkim/SigningTable line 3 (*@b.example)');
    expect(found.table).toEqual([]);
    expect(found.remarks).toEqual([
      '/etc/opendkim/SigningTable line 2 (user@example.jp): OpenDKIM may sign for this author only; selkie-agent signs for every author of a domain that it has a key of',
      '/etc/opendkim/KeyTable: nothing signs with spare; it is not adopted',
    ]);
  });

  it('that sign for other domains become rows of signing.table, which takes them', async () => {
    const found = await inTables(
      'one example.jp:mail:/k/mail\n',
      '*@example.jp one\n*@*.example.jp one\nnews-*@lists.example one\n*@b.example one\n',
    );
    expect(found.table).toEqual([
      { match: '*@*.example.jp', domain: 'example.jp' },
      { match: 'news-*@lists.example', domain: 'example.jp' },
      { match: '*@b.example', domain: 'example.jp' },
    ]);
    const compiled = signingTable(found.table);
    expect(compiled.find({ localPart: 'a', domain: 'x.example.jp' })).toBe('example.jp');
  });

  it('a usual row stays before one that would take its mail', async () => {
    const found = await inTables(
      'one example.jp:mail:/k/mail\ntwo b.example:b:/k/b\n',
      '*@example.jp one\n*@b.example two\n*@*.jp two\n',
    );
    expect(found.table).toEqual([
      { match: '*@example.jp', domain: 'example.jp' },
      { match: '*@*.jp', domain: 'b.example' },
    ]);
  });

  it('of the type file are asked from the address up', async () => {
    const conf = tables.replace('refile:', 'file:');
    const found = await inTables(
      'one example.jp:mail:/k/mail\n',
      '* one\n.lists.example one\nlists.example one\nboss@lists.example one\n.x.lists.example one\n',
      conf,
    );
    expect(found.table.map(({ match }) => match)).toEqual([
      'boss@lists.example',
      '*@lists.example',
      '*@*.x.lists.example',
      '*@*.lists.example',
      '*',
    ]);
  });

  it('with % have a key for each domain that is known', async () => {
    const keys = 'all %:default:/k/%.private\n';
    expect(names(await inTables(keys, '*@example.jp all\n*@b.example all\n'))).toEqual([
      'default example.jp /k/example.jp.private',
      'default b.example /k/b.example.private',
    ]);
    const wild = await inTables(keys, '* all\n');
    expect(names(wild)).toEqual([]);
    expect(wild.remarks).toEqual([
      '/etc/opendkim/SigningTable line 1 (*) signs for every domain (%): name the domains with --domain',
    ]);
    const told = await inTables(keys, '*@b.example all\n* all\n', tables, ['c.example', 'b.example']);
    expect(names(told)).toEqual([
      'default b.example /k/b.example.private',
      'default c.example /k/c.example.private',
    ]);
    expect(told.table).toEqual([]);
    const byName = await inTables('c.example c.example:s:/k/c\n', '* %\n', tables, ['c.example']);
    expect(names(byName)).toEqual(['s c.example /k/c']);
  });

  it('with what cannot be taken over say what and why', async () => {
    const found = await inTables(
      'inline example.jp:mail:MIIC\nbroken example.jp\nodd ex_ample.jp:mail:/k/x\n',
      '*@example.jp inline\n*@x.example gone\n*@[ab].example inline\n*@ex.example odd\n*@i.example inline:%@i.example\n',
    );
    expect(found.keys).toEqual([]);
    expect(found.remarks).toEqual([
      '/etc/opendkim/KeyTable: line 2 (broken) is no NAME DOMAIN:SELECTOR:KEYFILE; mail that needs it is put off',
      expect.stringContaining('the key of inline stands in the table itself'),
      '/etc/opendkim/SigningTable line 2 (*@x.example) names gone, which /etc/opendkim/KeyTable does not have: its mail is put off',
      expect.stringContaining('the key of inline stands'),
      '/etc/opendkim/KeyTable: odd (d=ex_ample.jp, s=mail) are no names of DNS',
      expect.stringContaining('the key of inline stands'),
      expect.stringContaining('sets i= to %@i.example'),
    ]);
    const pattern = await inTables('one example.jp:mail:/k/m\n', '*@[ab].example one\n');
    expect(pattern.table).toEqual([]);
    expect(pattern.remarks[0]).toContain('is a regular expression: say it in signing.table with * alone');
  });

  it('that cannot be read, or are of another kind, are errors that name them', async () => {
    await expect(find(tables)).rejects.toMatchObject({
      code: 'invalid',
      message: '/etc/opendkim/KeyTable, which /etc/opendkim.conf names, cannot be read: no such file',
    });
    await expect(find('KeyTable dsn:mysql://u:secret@h/d\nSigningTable refile:/x\n')).rejects.toMatchObject({
      field: 'KeyTable',
    });
    await expect(find('KeyTable /etc/opendkim/KeyTable\n')).rejects.toMatchObject({ code: 'invalid' });
  });
});
