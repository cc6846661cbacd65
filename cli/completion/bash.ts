// `selkie completion bash`: a function that needs nothing but bash 4; the package bash-completion only loads it by itself.
import { type CompletedCommand, placeOptions, quoted, type Value, withValue } from './model.ts';

const answer = ({ kind, choices }: Value): string => {
  if (choices !== undefined) return `_selkie_words ${quoted(choices.join('\n'))}`;
  switch (kind) {
    case 'nothing':
      return ':';
    case 'files':
      return '_selkie_files -f';
    case 'folders':
      return '_selkie_files -d';
    default:
      return `_selkie_names ${kind}`;
  }
};

const valueCases = (command: CompletedCommand): readonly string[] =>
  command.options.flatMap(({ flags, value }) =>
    value === undefined ? [] : `      ${flags.join('|')}) ${answer(value)}; return ;;`,
  );

const commandCase = (command: CompletedCommand): string => {
  const flags = command.options.flatMap((option) => option.flags).join('\n');
  const names = command.subcommands.map(({ name }) => name);
  const argumentCases = command.arguments.map((value, at) => `      ${at}) ${answer(value)} ;;`);
  return [
    `    ${quoted(command.path.join(' '))})`,
    '      case $before in',
    ...valueCases(command),
    '      esac',
    `      if [[ $cur == -* ]]; then _selkie_words ${quoted(flags)}; return; fi`,
    ...(names.length > 0
      ? [
          `      _selkie_words ${quoted([...names, ...(command.path.length === 0 ? ['help'] : [])].join('\n'))}`,
        ]
      : []),
    ...(argumentCases.length > 0 ? ['      case $place in', ...argumentCases, '      esac'] : []),
    '      ;;',
  ].join('\n');
};

export const bashCompletion = (commands: readonly CompletedCommand[]): string => {
  const paths = commands.filter(({ path }) => path.length > 0).map(({ path }) => quoted(path.join(' ')));
  return `# bash completion of selkie. Made by: selkie completion bash

# Where its lines begin with what is typed.
_selkie_words() {
  local word
  while IFS= read -r word; do
    [[ -n $word && $word == "$cur"* ]] && COMPREPLY+=("$word")
  done <<< "$1"
}

_selkie_files() {
  compopt -o filenames 2>/dev/null
  local name
  while IFS= read -r name; do COMPREPLY+=("$name"); done < <(compgen "$1" -- "$cur")
}

# Asked of the running Selkie, which has a moment to answer.
_selkie_names() {
  _selkie_words "$("$program" names "$1" "\${given[@]}" "\${where[@]}" 2>/dev/null)"
}

_selkie() {
  COMPREPLY=()
  # --option=value comes as three words.
  local -a line=() where=() given=()
  local word at
  for ((at = 1; at < COMP_CWORD; at++)); do
    word=\${COMP_WORDS[at]}
    [[ $word == = ]] || line+=("$word")
  done
  local cur=\${COMP_WORDS[COMP_CWORD]} before='' path='' place=0 program=\${COMP_WORDS[0]}
  [[ $cur == = ]] && cur=''
  for word in "\${line[@]}"; do
    case $before in
      ${withValue(commands).join('|')})
        case $before in
          ${placeOptions.join('|')}) where+=("$before" "$word") ;;
        esac
        before=''
        continue
        ;;
    esac
    before=$word
    [[ $word == -* ]] && continue
    case "\${path:+$path }$word" in
      ${paths.join('|')}) path="\${path:+$path }$word" ;;
      *)
        given+=("$word")
        place=$((place + 1))
        ;;
    esac
  done
  case $before in
    -*) ;;
    *) before='' ;;
  esac
  [[ $place == 1 && $path == '' && \${given[0]} == help ]] && given=() && place=0
  case $path in
${commands.map(commandCase).join('\n')}
  esac
}

complete -F _selkie selkie
`;
};
