// `selkie completion fish`: one line for each word that may come, with its description.
import { type CompletedCommand, placeOptions, type Value, withValue } from './model.ts';

/** In single quotes, fish knows only \' and \\. */
const fishQuoted = (text: string): string => `'${text.replaceAll(/['\\]/g, String.raw`\$&`)}'`;

const at = (path: readonly string[]): string =>
  `-n ${fishQuoted(`__selkie_at ${fishQuoted(path.join(' '))}`)}`;

const answer = ({ kind, choices }: Value): string => {
  if (choices !== undefined) return `-x -a ${fishQuoted(choices.join(' '))}`;
  switch (kind) {
    case 'nothing':
      return '-x';
    case 'files':
      return '-r -F';
    case 'folders':
      return '-x -a "(__fish_complete_directories)"';
    default:
      return `-x -a ${fishQuoted(`(__selkie_ask ${kind})`)}`;
  }
};

const flagWords = (flag: string): string =>
  flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`;

const linesOf = (command: CompletedCommand): readonly string[] => [
  ...command.subcommands.map(
    ({ name, says }) => `complete -c selkie ${at(command.path)} -f -a ${name} -d ${fishQuoted(says)}`,
  ),
  ...command.options.map(
    ({ flags, says, value }) =>
      `complete -c selkie ${at(command.path)} ${flags.map(flagWords).join(' ')} ${value === undefined ? '-f' : answer(value)} -d ${fishQuoted(says)}`,
  ),
  ...command.arguments.map(
    (value, place) =>
      `complete -c selkie -n ${fishQuoted(`__selkie_at ${fishQuoted(command.path.join(' '))} ${place}`)} ${answer(value)}`,
  ),
];

export const fishCompletion = (commands: readonly CompletedCommand[]): string => {
  const paths = commands.filter(({ path }) => path.length > 0).map(({ path }) => fishQuoted(path.join(' ')));
  return `# fish completion of selkie. Made by: selkie completion fish

# The command that stands on the line, and its arguments so far.
function __selkie_line
    set -g __selkie_path
    set -g __selkie_given
    set -g __selkie_where
    set -l option
    for word in (commandline -opc)[2..]
        if contains -- "$option" ${withValue(commands).join(' ')}
            contains -- "$option" ${placeOptions.join(' ')}; and set -a __selkie_where $option $word
            set option
            continue
        end
        set option $word
        string match -q -- '-*' $word; and continue
        if contains -- (string join ' ' $__selkie_path $word) ${paths.join(' ')}
            set -a __selkie_path $word
        else
            set -a __selkie_given $word
        end
    end
end

# Whether the line is at a command, and, where a second word says so, at its argument of that place.
function __selkie_at
    __selkie_line
    test "$__selkie_path" = "$argv[1]"; or return 1
    test (count $argv) -lt 2; or test (count $__selkie_given) -eq $argv[2]
end

# Asked of the running Selkie, which has a moment to answer.
function __selkie_ask
    __selkie_line
    selkie names $argv[1] $__selkie_given $__selkie_where 2>/dev/null
end

complete -c selkie -f
${commands.flatMap(linesOf).join('\n')}
`;
};
