// Two recorded episodes on one clock: expert and learner, play and pause, scrubbing with mouse or keys.
"use strict";
class Pen {
  constructor(canvas, view) {
    const [left, bottom, right, top] = view, ratio = window.devicePixelRatio || 1;
    const width = canvas.clientWidth, height = (width * (top - bottom)) / (right - left);
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    this.context = canvas.getContext("2d");
    this.context.scale(ratio, ratio);
    this.context.clearRect(0, 0, width, height);
    this.context.lineCap = this.context.lineJoin = "round";
    this.unit = width / (right - left);
    this.place = ([x, y]) => [(x - left) * this.unit, (top - y) * this.unit];
    const colours = getComputedStyle(canvas);
    this.colour = (name) => colours.getPropertyValue(`--${name}`).trim();
    this.thin = Math.min(1, width / 260);
  }
  line(points, colour, width, dashed = false) {
    const pen = this.context;
    pen.beginPath();
    points.map(this.place).forEach(([x, y], i) => (i ? pen.lineTo(x, y) : pen.moveTo(x, y)));
    pen.strokeStyle = this.colour(colour);
    pen.lineWidth = Math.max(1, width * this.thin);
    pen.setLineDash(dashed ? [5, 5] : []);
    pen.stroke();
  }
  box(x, y, width, height, colour) {
    this.context.fillStyle = this.colour(colour);
    this.context.fillRect(...this.place([x, y + height]), width * this.unit, height * this.unit);
  }
  dot(x, y, radius, colour) {
    this.context.beginPath();
    this.context.arc(...this.place([x, y]), radius * this.unit, 0, 2 * Math.PI);
    this.context.fillStyle = this.colour(colour);
    this.context.fill();
  }
}

class Player {
  constructor(figure) {
    this.figure = figure;
    this.data = JSON.parse(figure.querySelector('script[type="application/json"]').textContent);
    this.scene = SCENES[this.data.scene];
    this.sides = ["expert", "learner"].map((who) => this.side(who));
    this.last = Math.max(...this.sides.map((side) => side.frames.length - 1));
    this.play = figure.querySelector("[data-play]");
    this.scrub = figure.querySelector("[data-scrub]");
    this.speed = figure.querySelector("[data-speed]");
    this.scrub.max = this.last;
    this.time = 0;
    this.playing = false;
    this.play.addEventListener("click", () => this.toggle(!this.playing));
    this.scrub.addEventListener("input", () => {
      this.toggle(false);
      this.time = Number(this.scrub.value);
      this.draw();
    });
    new ResizeObserver(() => requestAnimationFrame(() => this.draw())).observe(figure);
    this.draw();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }
  side(who) {
    const { frames, rewards, ended } = this.data[who];
    const sums = [0];
    for (const reward of rewards) sums.push(sums.at(-1) + reward);
    const canvas = this.figure.querySelector(`canvas[data-who=${who}]`);
    const [left, bottom, right, top] = this.scene.view(this.data.static);
    canvas.style.aspectRatio = `${right - left} / ${top - bottom}`;
    return { frames, sums, ended, canvas, text: this.figure.querySelector(`[data-read=${who}]`) };
  }
  toggle(playing) {
    this.playing = playing;
    this.play.textContent = playing ? "Pause" : "Play";
    this.play.setAttribute("aria-pressed", String(playing));
    if (!playing) return;
    if (this.time >= this.last) this.time = 0;
    let before; // the first frame's own time: its clock may lag behind performance.now()
    const tick = (now) => {
      if (!this.playing) return;
      const passed = (now - (before ?? now)) / 1000;
      this.time += (passed / this.data.step_seconds) * Number(this.speed.value);
      before = now;
      if (this.time >= this.last) {
        this.time = this.last;
        this.toggle(false);
      }
      this.draw();
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }
  draw() {
    const step = Math.floor(this.time);
    this.scrub.value = step;
    this.scrub.setAttribute("aria-valuetext", `step ${step} of ${this.last}`);
    for (const side of this.sides) {
      const end = side.frames.length - 1, at = Math.min(step, end);
      const pen = new Pen(side.canvas, this.scene.view(this.data.static));
      this.scene.draw(pen, side.frames[at], side.frames.slice(0, at), this.data.static);
      const over = step >= end ? `, ended (${side.ended})` : "";
      side.text.textContent = `step ${at} of ${end}, return ${Number(side.sums[at].toFixed(1))}${over}`;
    }
  }
}
document.querySelectorAll(".player").forEach((figure) => new Player(figure));
