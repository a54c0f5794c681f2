// Grafana's panels are part of its server. What they are made of is published; here they are put together again, with the
// defaults that their options have.
import { FieldColorModeId, FieldConfigProperty, FieldType, PanelPlugin, VizOrientation, cacheFieldDisplayNames, formattedValueToString, getDisplayValueAlignmentFactors, getFieldDisplayValues } from '@grafana/data';
import { AxisColorMode, AxisPlacement, BarAlignment, BarGaugeDisplayMode, BarGaugeValueMode, GraphDrawStyle, GraphGradientMode, LegendDisplayMode, LineInterpolation, ScaleDistribution, StackingMode, TooltipDisplayMode, VisibilityMode } from '@grafana/schema';
import { BarGauge, BigValue, BigValueColorMode, BigValueGraphMode, BigValueJustifyMode, BigValueTextMode, TimeSeries, TooltipPlugin2, VizRepeater, VizTooltipContent, VizTooltipHeader, VizTooltipWrapper, usePanelContext, useTheme2 } from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';

type Options = Record<string, unknown>;

/** Options are registered with a path and a default; nobody edits them here. */
function register(builder: any, options: Options) {
  const nothing: any = () => null;
  for (const [path, defaultValue] of Object.entries(options)) {
    builder.addCustomEditor({ id: path, path, name: path, defaultValue, editor: nothing, override: nothing, process: (value: unknown) => value, shouldApply: () => true });
  }
}

function plugin(id: string, component: any, options: Options, fields: { custom?: Options; color?: any }) {
  const made: any = new PanelPlugin(component)
    .useFieldConfig({
      standardOptions: fields.color ? { [FieldConfigProperty.Color]: fields.color } : {},
      useCustomConfig: (builder: any) => register(builder, fields.custom ?? {}),
    } as any)
    .setPanelOptions((builder: any) => register(builder, options));
  made.meta = { id, name: id, type: 'panel', sort: 1, module: '', baseUrl: '', info: { version: '13.2.1', author: { name: '' }, description: '', links: [], logos: { small: '', large: '' }, screenshots: [], updated: '' } };
  return made;
}

function Nothing({ width, height, fieldConfig }: any) {
  const center = { width, height, display: 'flex', alignItems: 'center', justifyContent: 'center' };
  return <div style={center} data-no-data>{fieldConfig?.defaults?.noValue ?? 'No data'}</div>;
}

function Tooltip({ options, u: _u, aligned, indexes, active, pinned }: any) {
  const [time, ...fields] = aligned.fields;
  const at = indexes.find((index: any) => index != null) ?? 0;
  const item = (field: any, number: number) => {
    const raw = field.values[indexes[number + 1]];
    const value = field.display(raw);
    return { label: field.state?.displayName ?? field.name, value: formattedValueToString(value), color: value.color, numeric: raw, isActive: number + 1 === active };
  };
  const shown = fields.map((field: any, number: number) => (indexes[number + 1] == null ? undefined : item(field, number))).filter(Boolean);
  if (options.tooltip?.sort === 'desc') shown.sort((a: any, b: any) => b.numeric - a.numeric);
  return (
    <VizTooltipWrapper>
      <VizTooltipHeader item={{ label: '', value: formattedValueToString(time.display(time.values[at])) }} isPinned={pinned} />
      <VizTooltipContent items={shown} isPinned={pinned} />
    </VizTooltipWrapper>
  );
}

function Lines(props: any) {
  const { data, timeRange, timeZone, width, height, options } = props;
  const context: any = usePanelContext();
  const has = (frame: any, type: FieldType) => frame.fields.some((field: any) => field.type === type);
  const drawn = data.series.filter((frame: any) => has(frame, FieldType.time) && has(frame, FieldType.number));
  // as the server's panel does: one NaN, and the graph would not find its scale
  const finite = (field: any) => ({ ...field, values: field.values.map((value: any) => (Number.isFinite(value) ? value : null)) });
  const frames = drawn.map((frame: any) => ({ ...frame, fields: frame.fields.map((field: any) => (field.type === FieldType.number ? finite(field) : field)) }));
  if (!frames.length) return <Nothing {...props} />;
  return (
    <TimeSeries frames={frames} structureRev={data.structureRev} timeRange={timeRange} timeZone={timeZone} width={width} height={height} legend={options.legend} options={options}>
      {(config: any, aligned: any) => (
        <TooltipPlugin2
          config={config}
          hoverMode={1}
          syncMode={context.sync ? context.sync() : 0}
          syncScope={context.eventsScope}
          render={(u: any, indexes: any, active: any, pinned: boolean) => <Tooltip {...{ options, u, aligned, indexes, active, pinned }} />}
        />
      )}
    </TimeSeries>
  );
}

const line = {
  drawStyle: GraphDrawStyle.Line, lineInterpolation: LineInterpolation.Linear, lineWidth: 1, lineStyle: undefined, fillOpacity: 0,
  fillBelowTo: undefined, gradientMode: GraphGradientMode.None, showPoints: VisibilityMode.Auto, pointSize: 5, showValues: false,
  spanNulls: false, insertNulls: false, barAlignment: BarAlignment.Center, barWidthFactor: 0.6,
  stacking: { mode: StackingMode.None, group: 'A' }, axisPlacement: AxisPlacement.Auto, axisLabel: '', axisWidth: undefined,
  axisSoftMin: undefined, axisSoftMax: undefined, axisCenteredZero: false, axisColorMode: AxisColorMode.Text, axisBorderShow: false,
  axisGridShow: undefined, scaleDistribution: { type: ScaleDistribution.Linear },
  hideFrom: { tooltip: false, viz: false, legend: false }, thresholdsStyle: { mode: 'off' },
};

export const timeseries = plugin(
  'timeseries',
  Lines,
  { legend: { displayMode: LegendDisplayMode.List, placement: 'bottom', showLegend: true, calcs: [] }, tooltip: { mode: TooltipDisplayMode.Single, sort: 'none' } },
  { custom: line, color: { defaultValue: { mode: FieldColorModeId.PaletteClassic }, settings: { byValueSupport: true } } },
);

const reduce = { reduceOptions: { values: false, calcs: ['lastNotNull'], fields: '' }, orientation: VizOrientation.Auto };

function values({ data, options, fieldConfig, replaceVariables, timeZone }: any, theme: any, more: object) {
  return () => getFieldDisplayValues({ fieldConfig, reduceOptions: options.reduceOptions, replaceVariables, theme, data: data.series, timeZone, ...more });
}

function Stat(props: any) {
  const { data, options, fieldConfig, width, height, renderCounter } = props;
  const theme = useTheme2();
  const draw = ({ value, alignmentFactors, width, height, count }: any) => {
    const alone = options.textMode === 'auto' && count === 1 && !fieldConfig.defaults.displayName;
    return (
      <BigValue
        value={value.display} count={count} sparkline={value.sparkline} alignmentFactors={alignmentFactors} text={options.text}
        colorMode={options.colorMode} graphMode={options.graphMode} justifyMode={options.justifyMode}
        textMode={alone ? BigValueTextMode.Value : options.textMode} width={width} height={height} theme={theme}
      />
    );
  };
  return (
    <VizRepeater
      getValues={values(props, theme, { sparkline: options.graphMode !== 'none' })} getAlignmentFactors={getDisplayValueAlignmentFactors as any}
      renderValue={draw} width={width} height={height} source={data} renderCounter={renderCounter} autoGrid orientation={options.orientation}
    />
  );
}

export const stat = plugin(
  'stat',
  Stat,
  { ...reduce, textMode: 'auto', colorMode: BigValueColorMode.Value, graphMode: BigValueGraphMode.Area, justifyMode: BigValueJustifyMode.Auto, showPercentChange: false, wideLayout: true },
  {},
);

function Bars(props: any) {
  const { data, options, width, height, renderCounter } = props;
  const theme = useTheme2();
  const draw = ({ value, alignmentFactors, width, height, orientation, count }: any) => (
    <BarGauge
      value={value.display} field={value.field} display={value.view?.getFieldDisplayProcessor(value.colIndex)} width={width} height={height}
      orientation={orientation} theme={theme} itemSpacing={10} alignmentFactors={count > 1 ? alignmentFactors : undefined}
      displayMode={options.displayMode} showUnfilled={options.showUnfilled} valueDisplayMode={options.valueMode} text={options.text}
    />
  );
  if (!data.series.length) return <Nothing {...props} />;
  return (
    <VizRepeater
      getValues={values(props, theme, {})} getAlignmentFactors={getDisplayValueAlignmentFactors as any} renderValue={draw} width={width} height={height}
      source={data} renderCounter={renderCounter} minVizHeight={16} maxVizHeight={options.maxVizHeight} minVizWidth={8} itemSpacing={10} orientation={options.orientation}
    />
  );
}

export const bargauge = plugin(
  'bargauge',
  Bars,
  { ...reduce, displayMode: BarGaugeDisplayMode.Gradient, valueMode: BarGaugeValueMode.Color, showUnfilled: true, maxVizHeight: 300 },
  {},
);

function Table(props: any) {
  const { data, width, height, options, fieldConfig, timeRange } = props;
  cacheFieldDisplayNames(data.series); // or columns keep the names that they had before they were renamed
  const frame = data.series[options.frameIndex];
  if (!frame?.length) return <Nothing {...props} />;
  return (
    <TableNG
      data={frame} width={width} height={height} noHeader={!options.showHeader} sortBy={options.sortBy} initialSortBy={options.sortBy}
      enablePagination={options.enablePagination} cellHeight={options.cellHeight} fieldConfig={fieldConfig} structureRev={data.structureRev}
      timeRange={timeRange} getActions={() => []} frozenColumns={0}
    />
  );
}

const cell = {
  align: 'auto', width: undefined, minWidth: undefined, cellOptions: { type: 'auto' }, inspect: false, filterable: undefined,
  hidden: false, hideFrom: undefined, wrapText: false, footer: undefined,
};

export const table = plugin('table', Table, { frameIndex: 0, showHeader: true, cellHeight: 'sm', sortBy: undefined }, { custom: cell, color: {} });
