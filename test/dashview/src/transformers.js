import { standardTransformers } from '@grafana/data';

export const transformers = [standardTransformers.mergeTransformer, standardTransformers.organizeFieldsTransformer, standardTransformers.filterFieldsTransformer,
  standardTransformers.filterFieldsByNameTransformer, standardTransformers.orderFieldsTransformer, standardTransformers.renameFieldsTransformer]
  .filter(Boolean).map((t) => ({ id: t.id, name: t.name, transformation: t, editor: () => null }));
