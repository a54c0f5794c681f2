// A dashboard's JSON as a scene.
import {
  ConstantVariable, DataSourceVariable, EmbeddedScene, QueryVariable, SceneControlsSpacer, SceneDataTransformer, SceneGridItem,
  SceneGridLayout, SceneGridRow, SceneQueryRunner, SceneRefreshPicker, SceneTimePicker, SceneTimeRange, SceneVariableSet,
  VariableValueSelectors, VizPanel, behaviors, sceneGraph,
} from '@grafana/scenes';
import { problems } from './problems';

/** `var-team` of the address chooses a team, as in Grafana. */
function variable(spec: any, address: URLSearchParams): any {
  const wanted = address.getAll(`var-${spec.name}`);
  const value = wanted.length ? (spec.multi ? wanted : wanted[0]) : spec.current?.value ?? '';
  const base: any = { name: spec.name, label: spec.label, hide: spec.hide, value, text: wanted.length ? value : spec.current?.text ?? '', isMulti: spec.multi, includeAll: spec.includeAll, allValue: spec.allValue };
  if (spec.type === 'datasource') return new DataSourceVariable({ ...base, pluginId: spec.query, value: 'prometheus', text: 'Prometheus' });
  if (spec.type === 'query') return new QueryVariable({ ...base, query: spec.query, datasource: spec.datasource, regex: spec.regex, refresh: spec.refresh, sort: spec.sort });
  problems.push(`a variable of type ${spec.type}, which this page does not know`);
  return new ConstantVariable(base);
}

function panel(spec: any) {
  const runner = new SceneQueryRunner({ queries: spec.targets, datasource: spec.datasource });
  const $data = new SceneDataTransformer({ $data: runner, transformations: spec.transformations });
  return new VizPanel({
    key: `panel-${spec.id}`, pluginId: spec.type, title: spec.title, description: spec.description, options: spec.options,
    fieldConfig: spec.fieldConfig, $data,
  });
}

export function scene(dashboard: any, address: URLSearchParams) {
  const children: any[] = [];
  for (const spec of dashboard.panels) {
    const { x, y, w: width, h: height } = spec.gridPos;
    if (spec.type === 'row') {
      children.push(new SceneGridRow({ title: spec.title, y, children: [] }));
    } else {
      const item = new SceneGridItem({ x, y, width, height, body: panel(spec) });
      const row = children.at(-1);
      row.setState({ children: [...row.state.children, item] });
    }
  }
  return new EmbeddedScene({
    $timeRange: new SceneTimeRange({ from: address.get('from') ?? dashboard.time.from, to: address.get('to') ?? dashboard.time.to, timeZone: 'utc' }),
    $variables: new SceneVariableSet({ variables: dashboard.templating.list.map((spec: any) => variable(spec, address)) }),
    $behaviors: [new behaviors.CursorSync({ sync: dashboard.graphTooltip } as any)],
    controls: [new VariableValueSelectors({}), new SceneControlsSpacer(), new SceneTimePicker({}), new SceneRefreshPicker({ refresh: '' })],
    body: new SceneGridLayout({ children }),
  });
}

/** What each panel has got, for whoever checks the page. */
export function states(of: any) {
  return sceneGraph.findAllObjects(of, (object) => object instanceof VizPanel).map((panel: any) => {
    const data: any = sceneGraph.getData(panel).state.data;
    return {
      title: panel.state.title, type: panel.state.pluginId, state: data?.state, error: data?.error?.message ?? panel.state._pluginLoadError,
      frames: data?.series?.length ?? 0, rows: (data?.series ?? []).reduce((sum: number, frame: any) => sum + frame.length, 0),
    };
  });
}
