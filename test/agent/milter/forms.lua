-- What messages look like, to MTAs of every version. Globals: version; steps that the MTA offers, in decimal.
dofile(folder .. "/message.lua")

local from, to = "From: Jo Doe <jo@example.com>", "To: rcpt@example.org"
local function message(queueid, body, ...)
  local fields = {}
  for _, text in ipairs({ ... }) do fields[#fields + 1] = field(text) end
  return { queueid = queueid, fields = fields, body = body }
end

local conn = connect({ version = tonumber(version), steps = tonumber(steps) })
send(conn, message("plain", { "Hello,  world. \r\n", "\r\n\r\n" }, from, to, "Subject: a test"))
send(conn, message("chunks", { "Hel", "lo. \r", "\n\r", "\n x", "\t \r\n\r\n" }, from, to, "Subject: cut anywhere"))
send(conn, message("empty", nil, from, to, "Subject: an empty body"))
send(conn, message("blank", { "\r\n\r\n" }, from, to, "Subject: empty lines"))
send(conn, message("folded", { "Hello.\r\n" }, from, to, "Subject: a test,\n folded\n\ttwice  ", "Cc: a@example.org,\n  b@example.org"))
send(conn, message("spaces", { "a  b \t c\t\r\n \r\n" }, "from:  \t jo@example.com  ", to, "SUBJECT:  two  spaces ", "Cc: "))
send(conn, message("bare", { "a\rb\r\r\nc\r\n" }, from, to, "Subject: a\rb"))
send(conn, message("eight", { "gr\xfc\xdfe \x80\xff\r\n" }, from, to, "Subject: \xfc\xdf"))
send(conn, message("utf8", { "Gr\xc3\xbc\xc3\x9fe\r\n" }, "From: J\xc3\xb6 <j\xc3\xb6@example.com>", to, "Subject: Gr\xc3\xbc\xc3\x9fe"))
send(conn, message("repeated", { "Hello.\r\n" }, "To: first@example.org", from, "To: second@example.org", "Subject: 1", "Subject: 2"))
send(conn, message("signed", { "Hello.\r\n" },
  "DKIM-Signature: v=1; a=rsa-sha256; d=example.net; s=x; h=From;\n\tbh=AAAA; b=AAAA", "Received: from elsewhere", from, to))
send(conn, message("many", { "Hello.\r\n" }, from, to, "Reply-To: r@example.com", "Subject: s", "Date: Mon, 2 Nov 2026 10:00:00 +0000",
  "Message-ID: <1@example.com>", "Cc: c@example.org", "MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8",
  "Content-Transfer-Encoding: 8bit", "In-Reply-To: <0@example.com>", "References: <0@example.com>", "List-Id: <l.example.com>",
  "List-Unsubscribe: <https://example.com/u>", "List-Unsubscribe-Post: List-Unsubscribe=One-Click", "X-Mailer: x"))
send(conn, message("quoted", { "Hello.\r\n" }, 'From: "a;b=c d"@example.com', to))
send(conn, message("subdomain", { "Hello.\r\n" }, "From: jo@mail.example.com", to))
-- A body of 100,000 bytes, in pieces as Postfix cuts them.
local line = "The quick brown fox  jumps over the lazy dog. \r\n"
local text = line:rep(math.ceil(100000 / #line))
send(conn, message("large", { text:sub(1, 65535), text:sub(65536) }, from, to))
local late = message("late", { "Hello.\r\n" }, from, to)
late.late = true
send(conn, late)
-- DATA is left out by MTAs of versions 2 and 3.
local old = message("old", { "Hello.\r\n" }, from, to)
old.data = false
send(conn, old)
mt.disconnect(conn)
