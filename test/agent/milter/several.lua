-- Several messages on one connection: signed, given up, foreign, without From, empty, signed again.
-- Globals: socket (miltertest's form)
conn = mt.connect(socket, 40, 0.05)
if conn == nil then error("no connection to " .. socket) end
mt.conninfo(conn, "localhost", "127.0.0.1")
-- Before any macro of MAIL: miltertest would say it after them, and that takes them back.
mt.helo(conn, "localhost")

local function begin(queueid, from)
  mt.macro(conn, SMFIC_MAIL, "i", queueid)
  if mt.mailfrom(conn, "<jo@example.com>") ~= nil then error("MAIL failed") end
  if mt.rcptto(conn, "<rcpt@example.org>") ~= nil then error("RCPT failed") end
  if from ~= nil then mt.header(conn, "From", from) end
  mt.header(conn, "Subject", queueid)
  if mt.eoh(conn) ~= nil then error("end of header failed") end
  return mt.getreply(conn)
end

local function signed(queueid, body)
  if begin(queueid, "jo@example.com") ~= SMFIR_CONTINUE then error(queueid .. ": its body is not wanted") end
  if body ~= nil then mt.bodystring(conn, body) end
  if mt.eom(conn) ~= nil then error("end of message failed") end
  if mt.getreply(conn) ~= SMFIR_ACCEPT then error(queueid .. ": not accepted") end
  if not mt.eom_check(conn, MT_HDRINSERT, "DKIM-Signature") then error(queueid .. ": not signed") end
end

signed("A1", "Hello.\r\n")

if begin("A2", "jo@example.com") ~= SMFIR_CONTINUE then error("A2: its body is not wanted") end
mt.bodystring(conn, "Hel")
mt.abort(conn)

if begin("A3", "jo@example.net") ~= SMFIR_ACCEPT then error("A3: a foreign message is not let go") end
mt.abort(conn)
if begin("A4", nil) ~= SMFIR_ACCEPT then error("A4: a message without From is not let go") end
mt.abort(conn)

signed("A5", nil)
signed("A6", "Good-bye.\r\n")
mt.disconnect(conn)
