// How all that is shipped is bundled by esbuild: functions and agent, and what measures them. Data only.

export const esModule = {
  target: 'node24',
  mainFields: ['module', 'main'] as string[],
  /** Packages of CommonJS inside an ES module still call `require` for Node's own modules. */
  banner: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
};
