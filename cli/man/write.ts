// `npm run man`: writes docs/man/selkie.1 and selkie-agent.8 from the commands and the frames beside them.
import { writeFileSync } from 'node:fs';
import { manualPages } from './pages.ts';

for (const [file, text] of manualPages()) writeFileSync(file, text);
