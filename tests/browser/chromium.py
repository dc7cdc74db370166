"""Drives headless Chromium over its debugging pipe (Chrome DevTools Protocol): the standard library is all that this needs.

    with Chromium(folder_for_its_profile) as browser:
        page = browser.context().page("http://localhost:8080/", language="ko-KR")
        page.click("#join")
        page.wait_for("document.title.includes('2')")
"""
import base64
import fcntl
import json
import os
import shutil
import subprocess
import threading
import time


def find_chromium():
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Failure(Exception):
    pass


class Chromium:
    def __init__(self, profile, patience=30):
        self.patience = patience
        self._lock, self._answered = threading.Lock(), threading.Condition()
        self._next, self._answers, self._pages = 0, {}, {}
        child_reads, self._out = os.pipe()
        self._in, child_writes = os.pipe()
        # 3 and 4 are what Chromium listens to and speaks on.
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for fd in (child_reads, child_writes)]
        os.close(child_reads)
        os.close(child_writes)

        def plug():
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self._log = open(os.path.join(profile, "chromium.log"), "wb")
        self._process = subprocess.Popen(
            [find_chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
             "--hide-scrollbars", "--remote-debugging-pipe", f"--user-data-dir={profile}/profile", "about:blank"],
            preexec_fn=plug, pass_fds=(3, 4), close_fds=True, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
            start_new_session=True)
        for fd in high:
            os.close(fd)
        threading.Thread(target=self._listen, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.call("Browser.close")
            self._process.wait(10)
        except Exception:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def _listen(self):
        rest = b""
        while chunk := os.read(self._in, 1 << 20):
            *messages, rest = (rest + chunk).split(b"\0")
            for text in messages:
                message = json.loads(text)
                if "id" in message:
                    with self._answered:
                        self._answers[message["id"]] = message
                        self._answered.notify_all()
                elif page := self._pages.get(message.get("sessionId")):
                    page.heard(message["method"], message["params"])
        with self._answered:
            self._answers = None
            self._answered.notify_all()

    def send(self, method, session=None, **parameters):
        with self._lock:
            self._next += 1
            message = {"id": self._next, "method": method, "params": parameters}
            if session:
                message["sessionId"] = session
            os.write(self._out, json.dumps(message).encode() + b"\0")
            return self._next

    def call(self, method, session=None, **parameters):
        number = self.send(method, session, **parameters)
        deadline = time.monotonic() + self.patience
        with self._answered:
            while self._answers is not None and number not in self._answers:
                if not self._answered.wait(deadline - time.monotonic()):
                    raise Failure(f"{method}: no answer from the browser")
            if self._answers is None:
                raise Failure(f"{method}: the browser has ended")
            answer = self._answers.pop(number)
        if "error" in answer:
            raise Failure(f"{method}: {answer['error']}")
        return answer["result"]

    def context(self):
        """Cookies and storage of its own: another person."""
        return Context(self, self.call("Target.createBrowserContext")["browserContextId"])


class Context:
    def __init__(self, browser, number):
        self.browser, self.number = browser, number

    def page(self, address, **look):
        target = self.browser.call("Target.createTarget", url="about:blank", browserContextId=self.number)["targetId"]
        return Page(self.browser, target, address, **look)


class Page:
    """`scripted`: of a request to the server, what the page is to be told instead: (status, body) or None."""

    def __init__(self, browser, target, address, width=1280, height=900, language="en-US", theme="light", scripted=None,
                 intercept="*/rooms/*"):
        self.browser, self.target, self.address, self.complaints, self.requests = browser, target, address, [], []
        self._scripted = scripted
        self._session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        browser._pages[self._session] = self
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(domain + ".enable")
        if scripted:
            self.call("Fetch.enable", patterns=[{"urlPattern": intercept}])
        self.look(width, height, theme)
        agent = self.evaluate("navigator.userAgent")
        self.call("Network.setUserAgentOverride", userAgent=agent, acceptLanguage=language)
        self.go(address)

    def call(self, method, **parameters):
        return self.browser.call(method, self._session, **parameters)

    def heard(self, method, p):
        if method == "Runtime.exceptionThrown":
            self.complaints.append(p["exceptionDetails"].get("exception", {}).get("description") or str(p))
        elif method == "Runtime.consoleAPICalled" and p["type"] in ("error", "warning", "assert"):
            self.complaints.append(" ".join(str(a.get("value", a.get("description"))) for a in p["args"]))
        elif method == "Log.entryAdded" and p["entry"]["level"] in ("error", "warning"):
            # That a request was refused is part of the protocol, and that it failed, of a network; pages say so themselves.
            if p["entry"]["source"] != "network":
                self.complaints.append(p["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append((p["timestamp"], p["request"]["method"], p["request"]["url"]))
        elif method == "Fetch.requestPaused":
            answer = self._scripted(p["request"]["method"], p["request"]["url"])
            if answer is None:
                self.browser.send("Fetch.continueRequest", self._session, requestId=p["requestId"])
            else:
                status, body, *headers = answer
                text = body if isinstance(body, str) else json.dumps(body)
                self.browser.send("Fetch.fulfillRequest", self._session, requestId=p["requestId"], responseCode=status,
                                  responseHeaders=[{"name": n, "value": v} for n, v in headers],
                                  body=base64.b64encode(text.encode()).decode())

    def look(self, width, height=900, theme="light", motion="no-preference"):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme},
                                                          {"name": "prefers-reduced-motion", "value": motion}])

    def go(self, address):
        self.call("Page.navigate", url=address)
        # Commits later: until then the old document answers.
        self.wait_for(f"location.href.startsWith({json.dumps(address.split('#')[0])}) && document.readyState === 'complete'")

    def reload(self):
        self.evaluate("window.before = true")
        self.call("Page.reload")
        self.wait_for("!window.before && document.readyState === 'complete'")

    def evaluate(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            raise Failure(f"{expression}: {result['exceptionDetails'].get('exception', {}).get('description')}")
        return result["result"].get("value")

    def wait_for(self, expression, seconds=None):
        deadline = time.monotonic() + (seconds or self.browser.patience)
        last = None
        while time.monotonic() < deadline:
            try:
                if (last := self.evaluate(expression)) not in (None, False, 0, ""):
                    return last
            except Failure as e:  # the document is just being replaced
                last = e
            time.sleep(0.05)
        raise Failure(f"waited in vain for {expression} (last: {last}); the page says:\n{self.text()}")

    def text(self, selector="body"):
        return self.evaluate(f"document.querySelector({json.dumps(selector)})?.innerText")

    def click(self, selector):
        """With the mouse: it must be there, enabled and not covered."""
        place = json.dumps(selector)
        self.wait_for(f"(e => e && !e.disabled && e.offsetWidth > 0)(document.querySelector({place}))")
        x, y = self.evaluate(f"""(e => {{
          e.scrollIntoView({{block: "center", behavior: "instant"}});
          const r = e.getBoundingClientRect();
          return [r.x + r.width / 2, r.y + r.height / 2];
        }})(document.querySelector({place}))""")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def type(self, selector, text):
        self.evaluate(f"(e => {{ e.focus(); e.select(); }})(document.querySelector({json.dumps(selector)}))")
        self.call("Input.insertText", text=text)

    def offline(self, is_offline):
        self.call("Network.emulateNetworkConditions", offline=is_offline, latency=0, downloadThroughput=-1, uploadThroughput=-1)

    def screenshot(self, file):
        height = self.evaluate("Math.ceil(document.documentElement.scrollHeight)")
        width = self.evaluate("innerWidth")
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True,
                         clip={"x": 0, "y": 0, "width": width, "height": height, "scale": 1})
        with open(file, "wb") as out:
            out.write(base64.b64decode(shot["data"]))

    def close(self):
        self.browser.call("Target.closeTarget", targetId=self.target)
