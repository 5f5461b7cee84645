"""The page in a real browser: a video goes in, an answer and playing pictures come out."""

import re

import pytest

from tests.browser import chromium

from .conftest import NAMES

HOSTILE = "<img src=x onerror=alert(1)>.mp4"
_WAIT = 60_000  # milliseconds, for a machine that is busy


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


@pytest.fixture
def page(browser, server):
    """The page, open, and watched: nothing may go wrong in it, and no other host may be asked."""
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        page = context.new_page()
        page.set_default_timeout(_WAIT)
        faults, asked = [], []
        page.on("console", lambda said: faults.append(said.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", lambda dialog: (faults.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(server.told["url"])
        page.wait_for_function("() => limits !== null")
        yield page
        page.wait_for_timeout(50)
        assert faults == []
        own = (server.told["url"], f"blob:{server.told['url']}", "data:")
        assert [url for url in asked if not url.startswith(own)] == []


def give(page, video, name="clip.mp4"):
    page.set_input_files("#file", {"name": name, "mimeType": "video/mp4", "buffer": video})


def answered(page):
    page.wait_for_selector("#looks:not([hidden])")
    page.wait_for_selector("#when:not([hidden])")


def test_a_chosen_video_is_answered_charted_and_its_attention_plays(page, video):
    give(page, video)
    answered(page)
    names = page.locator("#top .row span:first-child").all_text_contents()
    assert len(names) == 5
    assert set(names) < set(NAMES)
    shares = page.locator("#top .percent").all_text_contents()
    values = [float(re.fullmatch(r"(?:< )?([\d.]+) %", share)[1]) for share in shares]
    assert values == sorted(values, reverse=True)
    assert (
        page.locator("#facts").text_content() == "6.0 s, 60 frames at 10 a second, 96 × 64 pixels"
    )
    for id in ("overlay", "clip"):
        page.wait_for_function(
            f"() => {id}.readyState >= 3 && !{id}.paused && {id}.currentTime > 0.3"
        )
        assert page.evaluate(f"[{id}.videoWidth, {id}.videoHeight, {id}.loop, {id}.muted]") == [
            320, 320, True, True,
        ]  # fmt: skip
    # What is looked at is another picture than what was fed.
    drawn = """(id) => { const c = document.createElement("canvas"); c.width = c.height = 32;
        const d = c.getContext("2d"); d.drawImage(document.getElementById(id), 0, 0, 32, 32);
        return Array.from(d.getImageData(0, 0, 32, 32).data); }"""
    assert page.evaluate(drawn, "overlay") != page.evaluate(drawn, "clip")
    assert page.locator("#frames span").count() == 4
    page.click("#pause")
    assert page.evaluate("overlay.paused && clip.paused")


def test_the_chart_leads_to_its_place_in_the_video(page, video):
    give(page, video)
    answered(page)
    page.wait_for_function("() => video.readyState >= 2")
    lines = page.locator("#chart polyline")
    assert lines.count() == 5
    points = [len(each.get_attribute("points").split()) for each in lines.all()]
    assert points == [page.evaluate("shown.told.starts.length")] * 5
    assert page.locator("#table tr").count() == 1 + points[0]
    box = page.locator("#chart").bounding_box()
    page.locator("#chart").click(position={"x": 44 + (box["width"] - 52) / 2, "y": 80})
    page.wait_for_function("() => Math.abs(video.currentTime - 3) < 0.1")
    page.focus("#chart")
    page.keyboard.press("End")
    page.wait_for_function("() => video.currentTime > 5.8")
    page.keyboard.press("Home")
    page.wait_for_function("() => video.currentTime === 0")
    page.wait_for_function("() => /^0\\.0 s: .+, [<\\d. ]+ %$/.test(at('chart').ariaValueText)")


def test_a_video_can_be_dropped_and_its_name_does_nothing(page, video):
    page.evaluate(
        """([name, bytes]) => { const carried = new DataTransfer();
        carried.items.add(new File([new Uint8Array(bytes)], name, {type: "video/mp4"}));
        for (const kind of ["dragover", "drop"]) document.getElementById("zone").dispatchEvent(
            new DragEvent(kind, {bubbles: true, cancelable: true, dataTransfer: carried})); }""",
        [HOSTILE, list(video)],
    )
    answered(page)
    assert page.locator("#name").text_content() == HOSTILE
    assert page.locator("img").count() == 0
    assert page.evaluate("document.body.innerHTML").count("<img") == 0
    assert page.get_by_text("<img src=x onerror=alert(1)>", exact=True).count() > 0  # a class


def test_what_is_wrong_is_said_in_words_and_the_next_video_is_answered(page, video):
    give(page, b"dear diary", "notes.mp4")
    page.wait_for_selector("#error:not([hidden])")
    assert page.locator("#error").text_content().startswith("notes.mp4: it cannot be opened")
    assert page.locator("#answer").is_hidden()
    give(page, bytes(2_000_001), "large.mp4")
    page.wait_for_function("() => at('error').textContent.includes('at most 2 MB')")
    give(page, video)
    answered(page)
    assert page.locator("#error").is_hidden()


def test_the_keyboard_and_a_phone_are_enough(page, video):
    chosen = []
    # Well before there is one: that it is wanted is told to the browser in passing.
    page.on("filechooser", lambda chooser: chosen.append(chooser))
    page.set_viewport_size({"width": 390, "height": 800})
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "file"
    page.keyboard.press("Enter")
    for _ in range(_WAIT // 20):
        if chosen:
            break
        page.wait_for_timeout(20)
    chosen[0].set_files({"name": "c.mp4", "mimeType": "video/mp4", "buffer": video})
    answered(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        back = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", back)[:3])) < 200) == (scheme == "dark")
    give(page, video)
    answered(page)
    page.wait_for_function("() => overlay.readyState >= 2")
    assert page.evaluate("overlay.paused")  # nothing moves for whoever wants nothing to


def test_cancelling_frees_the_server(page, server, video):
    give(page, video)
    page.evaluate("at('cancel').click()")
    page.wait_for_selector("#error:not([hidden])")
    give(page, video)
    answered(page)
