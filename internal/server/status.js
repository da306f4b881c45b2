// Keeps the page fresh. Without this script the page is complete and says of
// when it is; with it, a page that cannot be renewed says so.
"use strict";
(() => {
  const every = 10000;
  const lost = document.getElementById("lost");
  let answered = new Date();

  // busy while a person selects or has a reason or command in focus.
  const busy = () => {
    const selection = document.getSelection();
    return document.hidden || (selection !== null && !selection.isCollapsed) ||
      document.activeElement.closest("main pre, main code") !== null;
  };

  const show = (fresh) => {
    const main = document.querySelector("main");
    const focus = document.activeElement;
    const link = main.contains(focus) ? focus.getAttribute("href") : null;
    main.replaceWith(fresh.querySelector("main"));
    document.title = fresh.title;
    if (link !== null) {
      document.querySelector(`main a[href="${CSS.escape(link)}"]`)?.focus({preventScroll: true});
    }
  };

  const say = (why) => {
    document.body.classList.toggle("lost", why !== null);
    lost.hidden = why === null;
    lost.textContent = why === null ? "" :
      `No answer since ${answered.toLocaleTimeString()} (${why}). What stands below is of then.`;
  };

  const refresh = async () => {
    if (!busy()) {
      try {
        const response = await fetch(location.pathname, {cache: "no-store", signal: AbortSignal.timeout(every)});
        if (!response.ok) throw new Error(`HTTP ${response.status}`);
        const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
        if (fresh.querySelector("main") === null) throw new Error("not this page");
        if (!busy()) show(fresh);
        answered = new Date();
        say(null);
      } catch (error) {
        say(error.message);
      }
    }
    setTimeout(refresh, every);
  };
  document.addEventListener("visibilitychange", () => { if (!document.hidden && !lost.hidden) say("checking"); });
  setTimeout(refresh, every);
})();
