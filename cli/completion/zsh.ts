// `selkie completion zsh`: a function for compinit, with a description beside each word.
import {
  type CompletedCommand,
  type CompletedOption,
  placeOptions,
  quoted,
  type Value,
  withValue,
} from './model.ts';

const nameOf = (path: readonly string[]): string => ['_selkie', ...path].join('_').replaceAll('-', '_');

/** Within the brackets of _arguments. */
const escaped = (text: string): string => text.replaceAll(/[[\]:\\]/g, String.raw`\$&`);

const action = ({ kind, choices }: Value): string => {
  if (choices !== undefined) return `(${choices.join(' ')})`;
  switch (kind) {
    case 'nothing':
      return ' ';
    case 'files':
      return '_files';
    case 'folders':
      return '_files -/';
    default:
      return `_selkie_ask ${kind}`;
  }
};

const optionSpecs = ({ flags, says, value }: CompletedOption): readonly string[] =>
  flags.map((flag) => {
    // Both forms are seen as one: the other is not offered again.
    const others = flags.length > 1 ? `(${flags.join(' ')})` : '';
    const takes =
      value === undefined ? '' : `:${value.kind === 'nothing' ? 'value' : value.kind}:${action(value)}`;
    const equals = value !== undefined && flag.startsWith('--') ? '=' : '';
    return quoted(`${others}${flag}${equals}[${escaped(says)}]${takes}`);
  });

const leaf = (command: CompletedCommand): string => {
  const positions = command.arguments.map((value, at) => quoted(`${at + 1}:${value.kind}:${action(value)}`));
  const specs = [...command.options.flatMap(optionSpecs), ...positions];
  return `${nameOf(command.path)}() {\n  _arguments -s \\\n    ${specs.join(' \\\n    ')}\n}`;
};

const branch = (command: CompletedCommand, leaves: readonly CompletedCommand[]): string => {
  const words = command.subcommands.map(({ name, says }) =>
    quoted(`${name}:${says.replaceAll(':', String.raw`\:`)}`),
  );
  const cases = leaves.map(({ path }) => `        ${path.at(-1)}) ${nameOf(path)} ;;`);
  const specs = command.options.flatMap(optionSpecs);
  return `${nameOf(command.path)}() {
  local curcontext="$curcontext" state line
  _arguments -C -s \\
    ${[...specs, quoted('1:command:->command'), quoted('*::argument:->argument')].join(' \\\n    ')}
  case $state in
    command)
      local -a commands=(
        ${words.join('\n        ')}
      )
      _describe command commands
      ;;
    argument)
      case $line[1] in
${cases.join('\n')}
      esac
      ;;
  esac
}`;
};

export const zshCompletion = (commands: readonly CompletedCommand[]): string => {
  const below = (path: readonly string[]): readonly CompletedCommand[] =>
    commands.filter(
      (one) => one.path.length === path.length + 1 && path.every((name, at) => one.path[at] === name),
    );
  const functions = commands.map((one) =>
    one.subcommands.length > 0 ? branch(one, below(one.path)) : leaf(one),
  );
  const takingValue = withValue(commands);
  return `#compdef selkie
# zsh completion of selkie. Made by: selkie completion zsh

# Asked of the running Selkie, which has a moment to answer: with the options that say which is meant, and the words that
# stand on the line, a domain among them for its selectors.
_selkie_ask() {
  local -a where given found
  local at
  for ((at = 2; at < $#_selkie_line; at++)); do
    case $_selkie_line[at] in
      ${placeOptions.join('|')}) where+=("$_selkie_line[at]" "$_selkie_line[at + 1]"); ((at++)) ;;
      ${placeOptions.map((flag) => `${flag}=*`).join('|')}) where+=("$_selkie_line[at]") ;;
    esac
  done
  # What stands behind the command: _arguments has taken the rest away.
  for ((at = 2; at < CURRENT; at++)); do
    case $words[at] in
      ${takingValue.join('|')}) ((at++)) ;;
      -*) ;;
      *) given+=("$words[at]") ;;
    esac
  done
  found=(\${(f)"$(selkie names $argv[-1] $given $where 2>/dev/null)"})
  # Before the kind, _arguments says how they are to be shown.
  compadd "\${(@)argv[1,-2]}" -a found
}

${functions.join('\n\n')}

# The whole line is kept, for the options of AWS that stand before the command.
_selkie_whole() {
  local -a _selkie_line=("\${(@)words[1,CURRENT]}")
  _selkie "$@"
}

if [[ $funcstack[1] == _selkie ]]; then
  _selkie_whole "$@"
else
  compdef _selkie_whole selkie
fi
`;
};
