// Writes docs/fleet.schema.json, by which editors check and explain fleet.yaml: `npm run schema`.

import { writeFileSync } from 'node:fs';
import { z } from 'zod';
import { fleetFile } from './schema.ts';

export const schemaFile = new URL('../docs/fleet.schema.json', import.meta.url);

/** JSON Schema, draft 2020-12, of what people write: durations are text. */
export const schemaText = (): string =>
  `${JSON.stringify(z.toJSONSchema(fleetFile, { io: 'input', target: 'draft-2020-12' }), null, 2)}\n`;

if (import.meta.main) writeFileSync(schemaFile, schemaText());
