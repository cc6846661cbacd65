-- One message, step by step, each reply looked at. Prints the signatures, a line of "." behind each, for verifiers to judge.
-- Globals: socket (miltertest's form), from, queueid
conn = mt.connect(socket, 40, 0.05)
if conn == nil then error("no connection to " .. socket) end

local function expect(step, reply)
  if step ~= nil then error("step failed: " .. tostring(step)) end
  if mt.getreply(conn) ~= reply then
    error("unexpected reply " .. tostring(mt.getreply(conn)) .. ", wanted " .. tostring(reply))
  end
end

mt.negotiate(conn, nil, nil, nil)
if not mt.test_action(conn, SMFIF_ADDHDRS) then error("no leave to add header fields was asked for") end
if mt.test_action(conn, SMFIF_CHGBODY) then error("leave to change bodies was asked for") end
for _, option in ipairs({ SMFIP_NODATA, SMFIP_NOBODY, SMFIP_NOHDRS, SMFIP_NOCONNECT }) do
  if mt.test_option(conn, option) then error("an option that must not be asked for: " .. tostring(option)) end
end
-- Over TCP, Postfix stalls for 40 ms a message where DATA or its reply is left out.
if mt.test_option(conn, SMFIP_NR_DATA) ~= (string.find(socket, "^unix:") ~= nil) then
  error("the reply to DATA is left out over TCP, or not over a unix socket")
end

expect(mt.conninfo(conn, "localhost", "127.0.0.1"), SMFIR_CONTINUE)
expect(mt.helo(conn, "localhost"), SMFIR_CONTINUE)
mt.macro(conn, SMFIC_MAIL, "i", queueid)
expect(mt.mailfrom(conn, "<jo@example.com>"), SMFIR_CONTINUE)
expect(mt.rcptto(conn, "<rcpt@example.org>"), SMFIR_CONTINUE)
expect(mt.data(conn), SMFIR_CONTINUE)
mt.header(conn, "From", from)
mt.header(conn, "Subject", "a test,\n folded")
expect(mt.eoh(conn), SMFIR_CONTINUE)
mt.bodystring(conn, "Hello,  world. \r\n")
mt.bodystring(conn, "\r\n\r\n")
expect(mt.eom(conn), SMFIR_ACCEPT)

if not mt.eom_check(conn, MT_HDRINSERT, "DKIM-Signature") then error("no signature was inserted") end
if mt.eom_check(conn, MT_HDRADD) or mt.eom_check(conn, MT_HDRCHANGE) or mt.eom_check(conn, MT_BODYCHANGE) then
  error("something else was changed")
end
for n = 0, 1 do
  mt.echo(mt.getheader(conn, "DKIM-Signature", n))
  mt.echo(".")
end
mt.disconnect(conn)
