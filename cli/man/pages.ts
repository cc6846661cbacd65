// The manual pages that there are: which program's tree goes into which frame of docs/man/. Reads that folder.
import { readFileSync } from 'node:fs';
import { createAgentProgram } from '../../agent/program.ts';
import { createProgram } from '../program.ts';
import { manualPage } from './page.ts';

const folder = new URL('../../docs/man/', import.meta.url).pathname;

/** By file. */
export const manualPages = (): ReadonlyMap<string, string> =>
  new Map(
    [
      { name: 'selkie.1', program: createProgram() },
      { name: 'selkie-agent.8', program: createAgentProgram() },
    ].map(({ name, program }) => [
      `${folder}${name}`,
      manualPage(readFileSync(`${folder}${name}.in`, 'utf8'), program),
    ]),
  );
