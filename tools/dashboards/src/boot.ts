// What a Grafana server writes into its page. It must be there before anything of @grafana is imported.
const dateFormats = {
  fullDate: 'YYYY-MM-DD HH:mm:ss',
  interval: { millisecond: 'HH:mm:ss.SSS', second: 'HH:mm:ss', minute: 'HH:mm', hour: 'MM/DD HH:mm', day: 'MM/DD', month: 'YYYY-MM', year: 'YYYY' },
  useBrowserLocale: false,
};

Object.assign(window, {
  __grafana_public_path__: '/public/',
  grafanaBootData: {
    user: {
      theme: 'dark', timezone: 'utc', weekStart: 'monday', locale: 'en-US', language: 'en-US', regionalFormat: 'en-US',
      orgId: 1, isSignedIn: true, orgRole: 'Viewer', permissions: {},
    },
    settings: {
      buildInfo: { version: '13.2.1', env: 'production' },
      featureToggles: { newPanelPadding: true, tableNextGen: true },
      datasources: {}, panels: {}, appSubUrl: '', defaultDatasource: 'prometheus', dateFormats,
    },
    navTree: [],
  },
});
