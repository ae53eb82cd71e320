// Writes the AsyncAPI document that the package ships; a test fails while it says something else than the schemas.
import { writeFileSync } from 'node:fs';
import { asyncApiDocument } from '../src/index.ts';

writeFileSync(new URL('../asyncapi.json', import.meta.url), `${JSON.stringify(asyncApiDocument(), null, 2)}\n`);
