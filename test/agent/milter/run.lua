-- Runs a script, and says what went wrong with it: miltertest alone keeps that to itself. Globals: folder, script
local ok, failure = xpcall(dofile, debug.traceback, folder .. "/" .. script)
if not ok then
  io.stderr:write(tostring(failure), "\n")
  os.exit(1)
end
