// Prometheus' HTTP API as data frames. Grafana's own data source is published under the AGPL and needs a server behind it.
import { FieldType, LoadingState, createDataFrame, rangeUtil } from '@grafana/data';
import { sceneGraph } from '@grafana/scenes';
import { from } from 'rxjs';
import { problems } from './problems';

type Series = { metric: Record<string, string>; values: Array<[number, string]> };

/** More points than this are more than Prometheus gives. */
const MAX_POINTS = 11000;

const escaped = (value: unknown) => String(value).replace(/\\/g, '\\\\\\\\').replace(/[$^*{}[\]'+?.()|]/g, '\\\\$&');
const asRegex = (value: unknown) =>
  Array.isArray(value) && value.length !== 1 ? `(${value.map(escaped).join('|')})` : escaped(Array.isArray(value) ? value[0] : value);

function legend(target: any, metric: Record<string, string>) {
  if (target.legendFormat && target.legendFormat !== '__auto') {
    return target.legendFormat.replace(/\{\{\s*(.+?)\s*\}\}/g, (_: string, name: string) => metric[name] ?? '');
  }
  const labels = Object.entries(metric).filter(([name]) => name !== '__name__');
  return `${metric.__name__ ?? ''}{${labels.map(([name, value]) => `${name}="${value}"`).join(', ')}}`;
}

/** Several queries in one table are told apart by their letters. */
function asTable(refId: string, series: Series[], alone: boolean) {
  const labels = [...new Set(series.flatMap(({ metric }) => Object.keys(metric)))].sort();
  const rows = series.flatMap(({ metric, values }) => values.map((value) => ({ metric, value })));
  return createDataFrame({
    refId,
    meta: { preferredVisualisationType: 'table' } as any,
    fields: [
      { name: 'Time', type: FieldType.time, values: rows.map(({ value }) => value[0] * 1000) },
      ...labels.map((name) => ({ name, type: FieldType.string, values: rows.map(({ metric }) => metric[name] ?? '') })),
      { name: alone ? 'Value' : `Value #${refId}`, type: FieldType.number, values: rows.map(({ value }) => Number(value[1])) },
    ],
  });
}

function asLine(target: any, { metric, values }: Series, step: number) {
  const name = legend(target, metric);
  return createDataFrame({
    refId: target.refId,
    name,
    fields: [
      { name: 'Time', type: FieldType.time, config: { interval: step }, values: values.map(([at]) => at * 1000) },
      {
        name: 'Value', type: FieldType.number, labels: metric, config: { displayNameFromDS: name },
        values: values.map(([, value]) => Number(value)),
      },
    ],
  });
}

export function dataSource(url: string, settings: any, scrapeInterval: string): any {
  const scrape = rangeUtil.intervalToMs(scrapeInterval);
  const get = async (path: string, parameters: Record<string, any>) => {
    const answer = await (await fetch(`${url}${path}?${new URLSearchParams(parameters)}`)).json();
    if (answer.status !== 'success') throw new Error(`${answer.errorType}: ${answer.error}`);
    return answer.data;
  };
  const interpolate = (text: string, request: any, step: number) => {
    const seconds = (ms: number) => ({ value: `${Math.round(ms / 1000)}s` });
    const variables = {
      ...request.scopedVars,
      __interval: seconds(step),
      __rate_interval: seconds(Math.max(step + scrape, 4 * scrape)),
      __range: seconds(request.range.to - request.range.from),
    };
    const format = (value: unknown, variable: any) =>
      variable.multi || variable.includeAll || Array.isArray(value) ? asRegex(value) : String(value);
    return sceneGraph.interpolate((window as any).__scene, text, variables, format as any);
  };
  const ask = async (target: any, request: any) => {
    const least = (request.range.to - request.range.from) / MAX_POINTS;
    const step = Math.max(Math.ceil(least / 1000) * 1000, request.intervalMs, scrape);
    const query = interpolate(target.expr, request, step);
    const aligned = (at: any) => (Math.floor(Number(at) / step) * step) / 1000;
    const range = { start: aligned(request.range.from), end: aligned(request.range.to), step: step / 1000 };
    const { result } = target.instant
      ? await get('/api/v1/query', { query, time: Number(request.range.to) / 1000 })
      : await get('/api/v1/query_range', { query, ...range });
    const series: Series[] = result.map((one: any) => ({ metric: one.metric, values: one.values ?? [one.value] }));
    return target.format === 'table' ? [asTable(target.refId, series, request.targets.length === 1)] : series.map((one) => asLine(target, one, step));
  };
  return {
    ...settings,
    interval: scrapeInterval,
    getRef: () => ({ type: settings.type, uid: settings.uid }),
    query: (request: any) => from((async () => {
      const data: any[] = [];
      const errors: any[] = [];
      for (const target of request.targets) {
        await ask(target, request).then((frames) => data.push(...frames), (error) => {
          problems.push(`query ${target.refId}: ${error.message}`);
          errors.push({ refId: target.refId, message: error.message });
        });
      }
      const state = errors.length ? LoadingState.Error : LoadingState.Done;
      return { data, errors: errors.length ? errors : undefined, error: errors[0], state };
    })()),
    metricFindQuery: async (query: any, options: any) => {
      const text = sceneGraph.interpolate((window as any).__scene, query.query ?? query, options?.scopedVars);
      const [, series, label] = /^label_values\((.+),\s*(\w+)\)$/.exec(text) ?? [];
      if (!label) throw new Error(`a variable's query that this page does not know: ${text}`);
      const { from: start, to: end } = options.range;
      const values = await get(`/api/v1/label/${label}/values`, { 'match[]': series, start: start.unix(), end: end.unix() });
      return values.map((value: string) => ({ text: value }));
    },
  };
}
