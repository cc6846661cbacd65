"""Runs a program on a terminal of its own (a pseudo-terminal), as a person does: waits for a text, types an answer.

Standard input: {"argv", "env", "cwd", "columns", "rows", "steps": [[wait for, type], ...], "seconds"}.
Standard output: {"status", "seen"}; the status of a program that a signal ended is -signal.
"""
import fcntl, json, os, pty, select, struct, sys, termios, time

asked = json.load(sys.stdin)
pid, master = pty.fork()
if pid == 0:
    os.chdir(asked["cwd"])
    # The window's size is there before the program looks.
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", asked["rows"], asked["columns"], 0, 0))
    os.execvpe(asked["argv"][0], asked["argv"], asked["env"])
seen, since, steps = "", 0, list(asked["steps"])
end, status = time.monotonic() + asked["seconds"], None
while time.monotonic() < end:
    if select.select([master], [], [], 0.05)[0]:
        try:
            chunk = os.read(master, 65536)
        except OSError:
            chunk = b""
        if not chunk:
            break
        seen += chunk.decode("utf-8", "replace")
    while steps and steps[0][0] in seen[since:]:
        since += seen[since:].index(steps[0][0]) + len(steps[0][0])
        os.write(master, steps.pop(0)[1].encode())
if time.monotonic() >= end:
    os.kill(pid, 9)
_, code = os.waitpid(pid, 0)
json.dump({"status": os.waitstatus_to_exitcode(code), "seen": seen, "left": steps}, sys.stdout)
