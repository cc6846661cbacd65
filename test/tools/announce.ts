// Says once, loudly, which suites a run leaves out.
import { missing, tools } from './machine.ts';

export default function announce(): void {
  const absent = missing();
  if (absent.length > 0)
    console.warn(
      `\n!!! LEFT OUT: suites that need ${absent.map((tool) => `${tool} (${tools[tool].from})`).join(', ')}\n`,
    );
}
