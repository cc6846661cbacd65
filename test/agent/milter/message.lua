-- What the other scripts share: sends messages step by step as an MTA does, each reply looked at, and prints every message as
-- it would leave, with what the milter inserted. Globals: socket (miltertest's form).
-- Printed: "MESSAGE queueid reply length", a line end, that many bytes, a line end.

local DATA, EOH = string.byte("T"), string.byte("N")
local names = {
  [SMFIR_CONTINUE] = "continue", [SMFIR_ACCEPT] = "accept", [SMFIR_TEMPFAIL] = "tempfail",
  [SMFIR_REJECT] = "reject", [SMFIR_DISCARD] = "discard", [SMFIR_REPLYCODE] = "smtp",
}

local function reply(conn, failure, step)
  if failure ~= nil then error(step .. ": " .. tostring(failure)) end
  return names[mt.getreply(conn)] or error(step .. ": reply " .. tostring(mt.getreply(conn)))
end
local function expect(conn, failure, step)
  local got = reply(conn, failure, step)
  if got ~= "continue" then error(step .. ": " .. got) end
end

-- o.version, o.steps, o.actions: what the MTA offers; all where absent. o.host, o.ip: its client; this host where absent.
function connect(o)
  o = o or {}
  local conn = mt.connect(socket, 40, 0.05)
  if conn == nil then error("no connection to " .. socket) end
  -- miltertest takes the steps third and the actions fourth, whatever its manual says.
  local failure = mt.negotiate(conn, o.version, o.steps, o.actions)
  if failure ~= nil then error("negotiation: " .. failure) end
  expect(conn, mt.conninfo(conn, o.host or "localhost", o.ip or "127.0.0.1"), "CONNECT")
  expect(conn, mt.helo(conn, "client"), "HELO")
  return conn
end

-- Folds are LF on this wire, and CRLF in the message.
local function crlf(text) return (text:gsub("\r?\n", "\r\n")) end

local function leaves(m, verdict, signatures)
  local lines = {}
  for _, value in ipairs(signatures) do lines[#lines + 1] = "DKIM-Signature: " .. crlf(value) .. "\r\n" end
  for _, field in ipairs(m.fields) do lines[#lines + 1] = field.name .. ": " .. crlf(field.value) .. "\r\n" end
  local raw = table.concat(lines) .. "\r\n" .. table.concat(m.body or {})
  io.write("MESSAGE ", m.queueid, " ", verdict, " ", #raw, "\n", raw, "\n")
  io.flush()
end

-- "Name: value", one space behind the colon.
function field(text)
  local name, value = text:match("^(.-): ?(.*)$")
  return { name = name, value = value }
end

-- m.queueid; m.fields (of `field`); m.body: chunks; m.macros: more of MAIL's, name and value in turn; m.late: the queue id
-- comes at DATA, as Postfix says it. Gives the verdict.
function send(conn, m)
  local macros = m.macros or {}
  if m.late then
    if #macros > 0 then mt.macro(conn, SMFIC_MAIL, table.unpack(macros)) end
  else
    mt.macro(conn, SMFIC_MAIL, "i", m.queueid, table.unpack(macros))
  end
  expect(conn, mt.mailfrom(conn, "<jo@example.com>", "SIZE=1000", "SMTPUTF8"), "MAIL")
  expect(conn, mt.rcptto(conn, "<rcpt@example.org>", "NOTIFY=NEVER"), "RCPT")
  if m.late then mt.macro(conn, DATA, "i", m.queueid) end
  if m.data ~= false then expect(conn, mt.data(conn), "DATA") end
  for _, one in ipairs(m.fields) do expect(conn, mt.header(conn, one.name, one.value), one.name) end
  mt.macro(conn, EOH, "i", m.queueid)
  local verdict = reply(conn, mt.eoh(conn), "end of header")
  if verdict ~= "continue" then
    leaves(m, verdict, {})
    mt.abort(conn)
    return verdict
  end
  -- Where nothing is sent miltertest makes up a body.
  for _, chunk in ipairs(m.body or { "" }) do mt.bodystring(conn, chunk) end
  verdict = reply(conn, mt.eom(conn), "end of message")
  if mt.eom_check(conn, MT_HDRADD) or mt.eom_check(conn, MT_HDRCHANGE) or mt.eom_check(conn, MT_HDRDELETE)
    or mt.eom_check(conn, MT_BODYCHANGE) then
    error(m.queueid .. ": something else than an insertion was asked for")
  end
  local signatures = {}
  -- The last that was inserted comes first here, and is on top: all are inserted at 0.
  while true do
    local value = mt.getheader(conn, "DKIM-Signature", #signatures)
    if value == nil then break end
    if not mt.eom_check(conn, MT_HDRINSERT, "DKIM-Signature", value, 0) then error(m.queueid .. ": not on top") end
    signatures[#signatures + 1] = (value:gsub("^ ", ""))
  end
  leaves(m, verdict, signatures)
  return verdict
end

-- A message that is signed where its sender is ours.
function plain(queueid, from, ...)
  local fields = { field("From: " .. from), field("To: rcpt@example.org"), field("Subject: a test") }
  for _, text in ipairs({ ... }) do fields[#fields + 1] = field(text) end
  return { queueid = queueid, fields = fields, body = { "Hello.\r\n" } }
end
