// Colour: only on a terminal, and never where the environment says NO_COLOR (no-color.org).
import { styleText } from 'node:util';

type Paint = 'good' | 'busy' | 'bad' | 'quiet' | 'title';

const formats = { good: 'green', busy: 'yellow', bad: 'red', quiet: 'dim', title: 'bold' } as const;

interface Screen {
  readonly isTTY?: boolean;
}

export const hasColour = (screen: Screen, env: NodeJS.ProcessEnv = process.env): boolean =>
  screen.isTTY === true && (env.NO_COLOR ?? '') === '' && env.TERM !== 'dumb';

export const paint = (how: Paint, text: string): string =>
  hasColour(process.stdout) ? styleText(formats[how], text, { validateStream: false }) : text;
