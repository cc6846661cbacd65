-- Mail whose key may not or cannot sign, among other mail, on one connection.
dofile(folder .. "/message.lua")

local conn = connect()
send(conn, plain("stopped", "jo@stopped.example"))
send(conn, plain("broken", "jo@broken.example"))
send(conn, plain("half", "jo@half.example"))
send(conn, plain("sound", "jo@example.com"))
send(conn, plain("stranger", "jo@example.net"))
mt.disconnect(conn)
