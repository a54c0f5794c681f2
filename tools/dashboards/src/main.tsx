import './boot';
import { ThemeContext } from '@grafana/data';
import { initPluginTranslations } from '@grafana/i18n';
import { GlobalStyles, PortalContainer } from '@grafana/ui';
import { createRoot } from 'react-dom/client';
import { MemoryRouter } from 'react-router-dom';
import * as panels from './panels';
import { problems } from './problems';
import { scene, states } from './scene';
import { provide } from './services';

function Links({ dashboards, uid, address }: { dashboards: Array<{ uid: string; title: string }>; uid: string; address: URLSearchParams }) {
  const link = ({ uid: to, title }: { uid: string; title: string }) => (
    <a key={to} href={`/d/${to}?theme=${address.get('theme') ?? 'dark'}`} style={{ marginRight: 16, opacity: to === uid ? 1 : 0.6 }}>
      {title.split(' / ')[1]}
    </a>
  );
  return <nav style={{ float: 'right' }}>{dashboards.map(link)}</nav>;
}

async function start() {
  const address = new URLSearchParams(location.search);
  const { prometheus, dashboards } = await (await fetch('/config.json')).json();
  const uid = /^\/d\/([\w-]+)/.exec(location.pathname)?.[1] ?? 'goldenpath-program';
  const dashboard = await (await fetch(`/dashboards/${uid}.json`)).json();
  const theme = provide({ theme: address.get('theme') === 'light' ? 'light' : 'dark', prometheus, scrapeInterval: '15s', panels: panels as any });
  await initPluginTranslations('grafana').catch(() => {});
  const root = scene(dashboard, address);
  Object.assign(window, { __scene: root, __states: () => states(root), __problems: problems });
  document.title = dashboard.title;
  createRoot(document.getElementById('root')!).render(
    <MemoryRouter>
      <ThemeContext.Provider value={theme}>
        <GlobalStyles hackNoBackdropBlur={true} isExtensionSidebarOpen={false} />
        <div style={{ padding: 16, minHeight: '100vh', boxSizing: 'border-box' }}>
          <Links dashboards={dashboards} uid={uid} address={address} />
          <h3 style={{ margin: '0 0 8px' }}>{dashboard.title}</h3>
          <root.Component model={root} />
        </div>
        <PortalContainer />
      </ThemeContext.Provider>
    </MemoryRouter>,
  );
}

start().catch((error) => {
  problems.push(String(error?.stack ?? error));
  Object.assign(window, { __problems: problems, __states: () => [] });
  document.body.append(String(error?.stack ?? error));
});
