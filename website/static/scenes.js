// How one frame of each environment is drawn. Units are metres and radians, y upwards; a scene gives its view
// [left, bottom, right, top] and a function of the pen, the frame, the frames before it, and what is static.
"use strict";
const SCENES = {
  cartpole: {
    view: () => [-2.6, -0.6, 2.6, 1.6],
    draw(pen, [x, angle]) {
      pen.line([[-2.4, 0], [2.4, 0]], "soft", 1);
      for (const end of [-2.4, 2.4]) pen.line([[end, -0.15], [end, 0.15]], "soft", 1);
      pen.box(x - 0.25, -0.12, 0.5, 0.24, "ink");
      pen.line([[x, 0], [x + 1.2 * Math.sin(angle), 1.2 * Math.cos(angle)]], "accent", 5);
      pen.dot(x, 0, 0.06, "paper");
    },
  },
  acrobot: {
    view: () => [-2.2, -2.2, 2.2, 2.2],
    draw(pen, [first, second]) {
      const elbow = [Math.sin(first), -Math.cos(first)];
      const tip = [elbow[0] + Math.sin(first + second), elbow[1] - Math.cos(first + second)];
      pen.line([[-2.2, 1], [2.2, 1]], "soft", 1, true);
      pen.line([[0, 0], elbow], "ink", 6);
      pen.line([elbow, tip], "accent", 6);
      for (const [x, y] of [[0, 0], elbow]) pen.dot(x, y, 0.09, "soft");
    },
  },
  gridworld: {
    view: ({ rows, columns }) => [-0.1, -0.1, columns + 0.1, rows + 0.1],
    draw(pen, [row, column], before, { rows, columns, goal }) {
      const middle = ([r, c]) => [c + 0.5, rows - r - 0.5];
      pen.box(goal[1], rows - goal[0] - 1, 1, 1, "goal");
      for (let i = 0; i <= columns; i++) pen.line([[i, 0], [i, rows]], "line", 1);
      for (let i = 0; i <= rows; i++) pen.line([[0, i], [columns, i]], "line", 1);
      pen.line([...before.slice(-12), [row, column]].map(middle), "soft", 2);
      pen.dot(...middle([row, column]), 0.3, "accent");
    },
  },
  hopper: {
    view: () => [-1.4, -0.2, 1.4, 1.9],
    draw(pen, [way, height, torso, thigh, leg, foot]) {
      for (let mark = Math.floor(way - 2); mark < way + 2; mark += 0.5)
        pen.line([[mark - way, -0.06], [mark - way + 0.04, 0]], "soft", 1);
      pen.line([[-1.4, 0], [1.4, 0]], "soft", 1);
      const along = ([x, y], angle, length) => [x + length * Math.sin(angle), y - length * Math.cos(angle)];
      const hip = along([0, height], torso, 0.2), head = along([0, height], torso, -0.2);
      const knee = along(hip, torso + thigh, 0.45), ankle = along(knee, torso + thigh + leg, 0.5);
      const flat = torso + thigh + leg + foot + Math.PI / 2;
      pen.line([head, hip], "ink", 9);
      pen.line([hip, knee], "accent", 7);
      pen.line([knee, ankle], "accent", 6);
      pen.line([along(ankle, flat, -0.13), along(ankle, flat, 0.26)], "ink", 6);
    },
  },
};
