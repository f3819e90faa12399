#!/usr/bin/env python3
"""Runs a command in a pseudo-terminal, as a person would, and prints what appeared there.

Each line of standard input is typed as soon as the prompt stands alone on the last line. Without a prompt
the command runs until it ends or its time is over, and is then stopped.

usage: terminal.py SECONDS [--prompt REGEX] COMMAND ...
"""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x07")


def main():
    seconds, words = float(sys.argv[1]), sys.argv[2:]
    prompt = None
    if words[0] == "--prompt":
        prompt, words = re.compile(words[1] + "$"), words[2:]
    terminal = Terminal(words, time.monotonic() + seconds)
    try:
        for line in sys.stdin.read().splitlines() if prompt else []:
            if not terminal.wait_for(prompt):
                break
            terminal.type(line + "\r")
        terminal.wait_for_end()
    finally:
        terminal.stop()
    print(shown(terminal.output))


class Terminal:
    """A child process on its own pseudo-terminal, until `deadline` (monotonic seconds)."""

    def __init__(self, words, deadline):
        self.deadline = deadline
        self.output = ""
        self.typed_at = 0
        self.process_id, self.master = pty.fork()
        if self.process_id == 0:
            # A terminal without a size makes line editors ask it for one.
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
            os.environ["TERM"] = "xterm"
            os.execvp(words[0], words)

    def type(self, text):
        self.typed_at = len(self.output)
        os.write(self.master, text.encode())

    def wait_for(self, prompt):
        """Waits until the last line, after anything typed was answered, is the prompt alone."""
        while not self.stands_alone(prompt):
            if not self.read_some():
                return False
        return True

    def stands_alone(self, prompt):
        fresh = self.output[self.typed_at:]
        if self.typed_at and "\n" not in fresh:
            return False
        last_line = ESCAPES.sub("", fresh.rpartition("\n")[2]).strip("\r")
        return prompt.match(last_line.rpartition("\r")[2]) is not None

    def wait_for_end(self):
        while self.read_some():
            pass

    def read_some(self):
        left = self.deadline - time.monotonic()
        if left <= 0 or not select.select([self.master], [], [], left)[0]:
            return False
        try:
            chunk = os.read(self.master, 65536)
        except OSError:  # The other side of the terminal is closed.
            return False
        self.output += chunk.decode(errors="replace")
        return bool(chunk)

    def stop(self):
        try:
            os.kill(self.process_id, signal.SIGKILL)
        except ProcessLookupError:
            pass
        os.waitpid(self.process_id, 0)
        os.close(self.master)


def shown(output):
    """The text without colours, and of every line only what its last redraw left."""
    lines = ESCAPES.sub("", output).replace("\r\n", "\n").split("\n")
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)


if __name__ == "__main__":
    main()
