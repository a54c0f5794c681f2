// The options that every field of every panel has. Their registry is filled by the server's own code, which is not published;
// what each option does to a field is.
import {
  FieldColorModeId, ThresholdsMode, booleanOverrideProcessor, dataLinksOverrideProcessor, displayNameOverrideProcessor,
  identityOverrideProcessor, numberOverrideProcessor, standardEditorsRegistry, standardFieldConfigEditorRegistry,
  standardTransformers, standardTransformersRegistry, stringOverrideProcessor, thresholdsOverrideProcessor,
  unitOverrideProcessor, valueMappingsOverrideProcessor,
} from '@grafana/data';

const noEditor: any = () => null;

function option(path: string, process: any, defaultValue?: unknown): any {
  const always = () => true;
  return { id: path, path, name: path, editor: noEditor, override: noEditor, process, defaultValue, shouldApply: always, settings: {} };
}

const thresholds = { mode: ThresholdsMode.Absolute, steps: [{ value: -Infinity, color: 'green' }, { value: 80, color: 'red' }] };

const options = () => [
  option('unit', unitOverrideProcessor),
  option('min', numberOverrideProcessor),
  option('max', numberOverrideProcessor),
  option('fieldMinMax', booleanOverrideProcessor, false),
  option('decimals', numberOverrideProcessor),
  option('displayName', displayNameOverrideProcessor),
  option('noValue', stringOverrideProcessor),
  option('color', identityOverrideProcessor, { mode: FieldColorModeId.Thresholds }),
  option('links', dataLinksOverrideProcessor),
  option('actions', dataLinksOverrideProcessor),
  option('mappings', valueMappingsOverrideProcessor, []),
  option('thresholds', thresholdsOverrideProcessor, thresholds),
  option('filterable', booleanOverrideProcessor),
];

const editors = [
  'number', 'slider', 'text', 'strings', 'boolean', 'select', 'radio', 'unit', 'links', 'actions', 'stats-picker', 'timezone',
  'field-name', 'multi-select', 'color', 'dashboard-uid', 'fieldColor', 'thresholds', 'mappings',
];

export function registerFieldConfig() {
  standardFieldConfigEditorRegistry.setInit(options);
  standardEditorsRegistry.setInit(() => editors.map((id) => ({ id, name: id, editor: noEditor })) as any);
  // some are published under two names
  const byId = new Map(Object.values(standardTransformers).map((transformer: any) => [transformer.id, transformer]));
  standardTransformersRegistry.setInit(() =>
    [...byId.values()].map((t) => ({ id: t.id, name: t.name, editor: noEditor, transformation: async () => t })) as any);
}
