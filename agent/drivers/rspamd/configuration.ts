// What rspamd must be told once, so that this host's agent can drive it: said by `selkie-agent setup` and the docs. No I/O.

/** Names in the folder that the agent and rspamd share. */
export const sharedNames = { map: 'selectors.map', stopped: 'stopped.map', keys: 'keys' } as const;

/** The header field that asks which worker signed, and the one that answers. */
export const canaryField = 'Selkie-Canary';
export const workerField = 'Selkie-Worker';

/** The name under which each map says which of its versions it is. RFC 2606 §2: no mail comes from `invalid`. */
export const generationName = 'generation.selkie.invalid';

/**
 * A key's file, named as its record is. The selector is in the name, and only the selector map says which one signs: no
 * moment pairs one key's selector with another key.
 */
export const keyFileName = (domain: string, selector: string): string =>
  `${selector}._domainkey.${domain}.key`;

export interface RspamdFile {
  /** Below rspamd's configuration folder, `/etc/rspamd`. */
  readonly path: string;
  readonly content: string;
  /** Whether these lines are added to what is there (an administrator's own), or are the whole file. */
  readonly kind: 'lines' | 'file';
}

const lua = (
  folder: string,
): string => `-- Selkie. Two things that rspamd's dkim_signing does not do by itself:
-- it tells Selkie's agent which worker signed a canary (each worker reads the selector map for itself), and it puts off
-- mail of domains whose key must not sign at present, so that it does not leave unsigned.
local maps = require 'lua_maps'
local worker_name = 'unknown'
local stopped = maps.map_add_from_ucl('${folder}/${sharedNames.stopped}', 'map', 'Selkie: domains whose key must not sign')

rspamd_config:add_on_load(function(_, _, worker)
  worker_name = string.format('%s %d/%d %d', worker:get_name(), worker:get_index(), worker:get_count(), worker:get_pid())
end)

local function is_ours(task)
  local ip = task:get_from_ip()
  return task:get_user() or (ip and ip:is_local())
end

rspamd_config:register_symbol {
  name = 'SELKIE_WORKER',
  type = 'idempotent',
  flags = 'ignore_passthrough,explicit_disable',
  callback = function(task)
    if task:has_header('${canaryField}') and is_ours(task) then
      task:set_milter_reply { add_headers = { ['${workerField}'] = worker_name .. ' ' .. tostring(stopped and stopped:get_key('${generationName}')) } }
    end
  end,
}

rspamd_config:register_symbol {
  name = 'SELKIE_STOPPED',
  type = 'prefilter',
  flags = 'explicit_disable',
  callback = function(task)
    local from = (task:get_from('mime') or {})[1]
    if stopped and from and from.domain and stopped:get_key(from.domain:lower()) == 'stopped' and is_ours(task) then
      task:set_pre_result('soft reject', 'No usable DKIM key for ' .. from.domain .. ': try again later', 'selkie')
    end
  end,
}
`;

/**
 * The lines and files with which rspamd 3.4 and later signs by Selkie's map and keys. After a change of these, and only then,
 * rspamd is restarted.
 * @param folder shared by the agent and rspamd; absolute
 */
export const rspamdConfiguration = (folder: string): readonly RspamdFile[] => [
  {
    path: 'local.d/dkim_signing.conf',
    kind: 'lines',
    content: `# Selkie: which selector signs is in the map, and nowhere else. Keys of your own are named by a path_map.
selector_map = "${folder}/${sharedNames.map}";
path = "${folder}/${sharedNames.keys}/${keyFileName('$domain', '$selector')}";
# d= is the author's own domain, not the registered one above it.
use_esld = false;
# Domains that are in no map are not signed for.
try_fallback = false;
`,
  },
  { path: 'selkie.lua', kind: 'file', content: lua(folder) },
  {
    path: 'rspamd.local.lua',
    kind: 'lines',
    content: "dofile(rspamd_paths['LOCAL_CONFDIR'] .. '/selkie.lua')\n",
  },
];
