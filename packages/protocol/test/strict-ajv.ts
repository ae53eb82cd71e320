import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import type { JsonSchema } from '../src/index.ts';

// zod writes the format's whole grammar into `pattern`.
const ajv = new Ajv2020({ strict: true, allowUnionTypes: true, formats: { 'date-time': true } });

/** Compiles in strict mode: an unknown keyword or a keyword in the wrong place throws. */
export function compiled(schema: JsonSchema | undefined): ValidateFunction {
  if (schema === undefined) throw new Error('there is no such schema');
  return ajv.compile(schema);
}
