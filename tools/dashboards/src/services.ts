// What Grafana's libraries expect around them: a server's settings, a data source, a way to run queries.
import { EventBusSrv, LoadingState, createTheme, preProcessPanelData, toDataFrame } from '@grafana/data';
import * as runtime from '@grafana/runtime';
import { sceneGraph } from '@grafana/scenes';
import { Observable, from, of } from 'rxjs';
import { catchError, map } from 'rxjs/operators';
import { dataSource } from './data-source';
import { registerFieldConfig } from './field-config';
import { problems } from './problems';

/** As `runRequest` of a server, which is not published. Variables bring a query function of their own. */
function runRequest(source: any, request: any, queryFunction?: any): Observable<any> {
  const empty = { state: LoadingState.Loading, series: [], request, timeRange: request.range };
  if (!request.targets.length) return of({ ...empty, state: LoadingState.Done });
  const answers: Observable<any> = from(queryFunction ? queryFunction(request) : source.query(request));
  return answers.pipe(
    map((answer) => ({
      request, timeRange: request.range, annotations: [], state: answer.state ?? LoadingState.Done,
      series: (answer.data ?? []).map((data: any) => (queryFunction ? data : toDataFrame(data))),
      errors: answer.errors, error: answer.error,
    })),
    catchError((error) => {
      problems.push(`query: ${error.message}`);
      return of({ ...empty, state: LoadingState.Error, error: { message: error.message } });
    }),
    map((data) => (queryFunction ? data : preProcessPanelData(data))),
  );
}

function noExtensions() {
  runtime.setPluginLinksHook(() => ({ links: [], isLoading: false }));
  runtime.setPluginComponentsHook((() => ({ components: [], isLoading: false })) as any);
  runtime.setPluginComponentHook((() => ({ component: null, isLoading: false })) as any);
  runtime.setPluginFunctionsHook((() => ({ functions: [], isLoading: false })) as any);
  runtime.setReturnToPreviousHook?.((() => () => {}) as any);
  runtime.setEchoSrv({ addEvent() {}, addBackend() {}, flush() {} } as any);
  runtime.setGrafanaLiveSrv({ getConnectionState: () => of(false), getStream: () => of(), publish() {}, getPresence: () => of() } as any);
}

export function provide({ theme, prometheus, scrapeInterval, panels }: { theme: 'dark' | 'light'; prometheus: string; scrapeInterval: string; panels: Record<string, any> }) {
  const made = createTheme({ colors: { mode: theme } });
  Object.assign(runtime.config, { theme2: made, theme: made.v1 });
  registerFieldConfig();
  noExtensions();
  runtime.setAppEvents(new EventBusSrv());
  runtime.setTemplateSrv({
    getVariables: () => [],
    replace: (text: string, scope: any, format: any) => (text ? sceneGraph.interpolate((window as any).__scene, text, scope, format) : ''),
    containsTemplate: (text: string) => /\$/.test(text ?? ''),
    updateTimeRange() {},
  } as any);
  const meta = { id: 'prometheus', name: 'Prometheus', type: 'datasource', metrics: true, module: '', baseUrl: '', info: { logos: { small: '', large: '' } } };
  const settings: any = { id: 1, uid: 'prometheus', name: 'Prometheus', type: 'prometheus', isDefault: true, readOnly: true, url: '', access: 'proxy', jsonData: {}, meta };
  const source = dataSource(prometheus, settings, scrapeInterval);
  runtime.setDataSourceSrv({ get: async () => source, getList: () => [settings], getInstanceSettings: () => settings, reload() {}, registerRuntimeDataSource() {} } as any);
  runtime.setRunRequest(runRequest as any);
  const panel = (id: string) => {
    if (!panels[id]) problems.push(`a panel of type ${id}, which this page cannot draw`);
    return panels[id] ?? panels.stat;
  };
  runtime.setPluginImportUtils({ importPanelPlugin: async (id: string) => panel(id), getPanelPluginFromCache: panel });
  return made;
}
