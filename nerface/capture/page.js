// The report's one interaction: a frame is chosen (slider, play button, strip, maps, timeline) and shown everywhere.
"use strict";
(() => {
  const thumbs = [...document.querySelectorAll(".thumb")];
  const player = document.querySelector(".player");
  if (!thumbs.length || !player) return;
  const large = player.querySelector("img"), slider = player.querySelector("input"), play = player.querySelector(".play");
  const caption = player.querySelector(".caption"), facts = player.querySelector(".caption-facts");
  const strip = document.querySelector(".strip");
  const rings = [["pose-cursor", "pose"], ["place-cursor", "place"]]
    .map(([id, key]) => [document.getElementById(id), key]).filter(([ring]) => ring);
  const lines = [...document.querySelectorAll(".cursor")], dots = [...document.querySelectorAll(".now")];
  const pair = (thumb, key) => thumb.dataset[key].split(" ").map(Number);
  let timer = 0;

  function show(number) {
    const thumb = thumbs[number];
    thumbs.forEach((other) => other.setAttribute("aria-current", String(other === thumb)));
    large.src = thumb.querySelector("img").src;
    large.alt = thumb.querySelector("img").alt;
    caption.textContent = thumb.dataset.caption;
    facts.textContent = thumb.dataset.facts;
    slider.value = number;
    slider.setAttribute("aria-valuetext", thumb.dataset.caption + ". " + thumb.dataset.facts);
    for (const [ring, key] of rings) {
      const [x, y] = pair(thumb, key);
      ring.setAttribute("cx", x);
      ring.setAttribute("cy", y);
    }
    for (const line of lines) {
      line.setAttribute("x1", thumb.dataset.time + "%");
      line.setAttribute("x2", thumb.dataset.time + "%");
    }
    const values = thumb.dataset.values.split(" ");
    for (const dot of dots) dot.setAttribute("cx", values[Number(dot.dataset.channel)] + "%");
    strip.scrollLeft = thumb.offsetLeft - strip.offsetLeft - (strip.clientWidth - thumb.clientWidth) / 2;
  }

  function stop() {
    clearInterval(timer);
    timer = 0;
    play.textContent = "Play";
  }

  function choose(number) {
    stop();
    show(number);
  }

  play.addEventListener("click", () => {
    if (timer) return stop();
    play.textContent = "Pause";
    timer = setInterval(() => show((Number(slider.value) + 1) % thumbs.length), 450);
  });
  slider.addEventListener("input", () => choose(Number(slider.value)));
  thumbs.forEach((thumb, number) => thumb.addEventListener("click", () => choose(number)));

  const nearest = (distance) => {
    const all = thumbs.map(distance);
    return all.indexOf(Math.min(...all));
  };
  for (const [ring, key] of rings) {
    const svg = ring.ownerSVGElement;
    svg.addEventListener("click", (event) => {
      const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
      choose(nearest((thumb) => Math.hypot(pair(thumb, key)[0] - at.x, pair(thumb, key)[1] - at.y)));
    });
  }
  for (const plot of document.querySelectorAll(".plot")) {
    plot.addEventListener("click", (event) => {
      const box = plot.getBoundingClientRect();
      const percent = 100 * (event.clientX - box.left) / box.width;
      choose(nearest((thumb) => Math.abs(Number(thumb.dataset.time) - percent)));
    });
  }
  show(Number(slider.value));
})();
