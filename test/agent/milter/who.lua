-- Whose mail is signed: by where it comes from, and by who wrote it.
dofile(folder .. "/message.lua")

local function from(place, m)
  local conn = connect(place)
  send(conn, m)
  mt.disconnect(conn)
end
local outside = { host = "mx.example.net", ip = "192.0.2.1" }
local function with(m, ...)
  m.macros = { ... }
  return m
end

-- Where it comes from.
from({}, plain("inside", "jo@example.com"))
from({ host = "mail.example.com", ip = "198.51.100.7" }, plain("network", "jo@example.com"))
from(outside, plain("outside", "jo@example.com"))
from(outside, with(plain("login", "jo@example.com"), "{auth_type}", "PLAIN", "{auth_authen}", "jo"))
from(outside, with(plain("nologin", "jo@example.com"), "{auth_type}", ""))
from(outside, with(plain("marked", "jo@example.com"), "{daemon_name}", "ORIGINATING"))
from(outside, with(plain("unmarked", "jo@example.com"), "{daemon_name}", "smtpd"))

-- Who wrote it.
local conn = connect()
send(conn, plain("org", "Jo <jo@example.org>"))
send(conn, plain("stranger", "jo@example.net"))
send(conn, plain("upper", "JO@EXAMPLE.COM"))
send(conn, plain("comment", '"Doe, Jo" (the one, true) <jo(x)@example.com>'))
send(conn, plain("several", "jo@example.com, mo@example.net", "Sender: jo@example.com"))
send(conn, plain("otherwise", "mo@example.net, jo@example.com"))
send(conn, plain("group", "Team: jo@example.com, mo@example.net;"))
send(conn, plain("sender", "jo@example.net", "Sender: list@lists.example.com"))
send(conn, plain("both", "jo@example.com", "Sender: list@lists.example.com"))
send(conn, { queueid = "nofrom", fields = { field("Subject: x") }, body = { "Hello.\r\n" } })
send(conn, plain("noaddress", "Jo Doe"))
send(conn, { queueid = "twofrom", fields = { field("From: jo@example.com"), field("From: jo@example.com") } })
send(conn, plain("subdomain", "jo@a.b.example.com"))
send(conn, plain("row", "sales-eu@mail.dev.example.jp"))
send(conn, plain("norow", "jo@mail.dev.example.jp"))
send(conn, plain("idn", "jo@b\xc3\xbccher.example"))
mt.disconnect(conn)
