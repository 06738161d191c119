// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Epoll } from "../supervise/epoll.ts";
import { O_CLOEXEC } from "../sys/structs.ts";
import { must, Sys } from "../sys/sys.ts";
import { cannotRun } from "../testing/real_programs.ts";
import { Eventfds } from "./eventfds.ts";

describe("an eventfd of a program", { skip: cannotRun }, () => {
  it("tells each signal that comes, and not what it counted before", () => {
    const sys = Sys.shared;
    const epoll = new Epoll(sys);
    const eventfds = new Eventfds(sys, epoll);
    const fd = must(sys.call(sys.nr.eventfd2, 3, O_CLOEXEC), "eventfd2");
    let woken = 0;
    const end = eventfds.onSignal(fd, () => woken++);
    const seen = Array.from({ length: 4 }, (_, i) => {
      if (i === 1 || i === 3) eventfds.signal(fd);
      if (i === 3) end();
      epoll.dispatch(0);
      return woken;
    });
    assertEquals(seen, [0, 1, 1, 1]);
    assertEquals(eventfds.take(fd), 5n);
    sys.close(fd);
    epoll.close();
  });
});
