// The console: one page that talks to the API only. Who may see it, the frame around each page, and which one that is.

import { render } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { currentSession, endedBecause, leave, openLink, watchSession } from './api.ts';
import { AuditPage } from './audit/page.tsx';
import { ByHandPage } from './by-hand.tsx';
import { DomainPage } from './domain/page.tsx';
import { DriftPage } from './drift.tsx';
import { FleetPage } from './fleet/page.tsx';
import { HostsPage } from './hosts.tsx';
import { Empty } from './parts.tsx';
import { type Route, useRoute } from './route.ts';
import { timeZone } from './words.tsx';

const titleOf = (route: Route): string => {
  switch (route.page) {
    case 'fleet':
      return 'Fleet';
    case 'domain':
      return route.domain;
    case 'hosts':
      return 'Hosts';
    case 'drift':
      return 'Drift';
    case 'audit':
      return 'Audit trail';
    case 'paste':
      return route.zone === undefined ? 'To paste' : `To paste in ${route.zone}`;
    case 'nowhere':
      return 'Not found';
  }
};

const Page = ({ route }: { route: Route }) => {
  switch (route.page) {
    case 'fleet':
      return <FleetPage />;
    case 'domain':
      return <DomainPage key={route.domain} name={route.domain} />;
    case 'hosts':
      return <HostsPage />;
    case 'drift':
      return <DriftPage />;
    case 'audit':
      return <AuditPage />;
    case 'paste': {
      const { page: _, ...only } = route;
      return <ByHandPage {...only} />;
    }
    case 'nowhere':
      return (
        <>
          <h1 tabIndex={-1}>Not found</h1>
          <Empty title="There is no such page.">
            <a href="#/">To the fleet</a>
          </Empty>
        </>
      );
  }
};

const Mark = () => (
  <svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
    <path d="M3 25c0-10 7-18 16-18 6 0 10 3 10 7 0 3-2 5-5 5 0 6-5 9-11 9-5 0-8-1-10-3Z" />
    <circle class="eye" cx="21.5" cy="12.5" r="1.7" />
  </svg>
);

const links = [
  ['fleet', '#/', 'Fleet'],
  ['hosts', '#/hosts', 'Hosts'],
  ['drift', '#/drift', 'Drift'],
  ['audit', '#/audit', 'Audit'],
  ['paste', '#/paste', 'Paste'],
] as const;

const Frame = () => {
  const route = useRoute();
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  const title = titleOf(route);
  useEffect(() => {
    document.title = `${title} · Selkie`;
    // The page that was followed to is read from its beginning; the first one is the browser's affair.
    if (!first.current) {
      scrollTo(0, 0);
      main.current?.querySelector<HTMLElement>('h1')?.focus({ preventScroll: true });
    }
    first.current = false;
  }, [title]);
  return (
    <>
      <button type="button" class="skip" onClick={() => main.current?.focus()}>
        To the content
      </button>
      <header class="top">
        <a class="brand" href="#/">
          <Mark />
          Selkie
        </a>
        <nav aria-label="Pages">
          {links.map(([page, href, words]) => {
            const here = route.page === page || (page === 'fleet' && route.page === 'domain');
            return (
              <a key={page} href={href} {...(here ? { 'aria-current': 'page' as const } : {})}>
                {words}
              </a>
            );
          })}
        </nav>
        <button type="button" class="plain" onClick={() => void leave().catch(() => {})}>
          Leave
        </button>
      </header>
      <main ref={main} tabIndex={-1}>
        <Page route={route} />
      </main>
      <footer class="foot">
        <span>{currentSession()?.place}</span>
        <span>Times are of {timeZone}</span>
      </footer>
    </>
  );
};

const Outside = ({ why }: { why: string }) => {
  useEffect(() => {
    document.title = 'Open the console · Selkie';
  }, []);
  return (
    <main class="outside">
      <Mark />
      <h1>Open the console</h1>
      {why === '' ? null : (
        <p class="notice" role="alert">
          {why.charAt(0).toUpperCase() + why.slice(1)}.
        </p>
      )}
      <p>Ask for a link where Selkie runs, and open it in this browser:</p>
      <pre>npm run selkie -- console</pre>
      <p class="quiet">A link works once, so that nobody else on this machine gets in with it.</p>
    </main>
  );
};

const App = () => {
  const [, setTurn] = useState(0);
  useEffect(() => watchSession(() => setTurn((turn) => turn + 1)), []);
  // A link may be opened in a tab that shows the page already.
  useEffect(() => {
    const changed = (): void => void openLink();
    addEventListener('hashchange', changed);
    return () => removeEventListener('hashchange', changed);
  }, []);
  const session = currentSession();
  return session === undefined ? <Outside why={endedBecause()} /> : <Frame key={session.token} />;
};

const app = document.getElementById('app');
await openLink();
if (app !== null) render(<App />, app);
