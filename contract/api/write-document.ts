// Writes docs/openapi.json, which the API serves: `npm run openapi`.

import { writeFileSync } from 'node:fs';
import { openApiText } from './document.ts';

export const documentFile = new URL('../../docs/openapi.json', import.meta.url);

if (import.meta.main) writeFileSync(documentFile, openApiText());
