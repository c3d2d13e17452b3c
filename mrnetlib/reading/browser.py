"""A slice browser for notebooks: three planes that show each other's place, by wheel and keys.

It is made of ipywidgets and a few lines of JavaScript, so it lives while its kernel does. A page
keeps the picture that a notebook draws beside it.
"""

import io

import ipywidgets
import numpy as np
from IPython.display import Javascript, display
from PIL import Image, ImageColor

from mrnetlib.dicom.geometry import Grid
from mrnetlib.figures.style import PLANE_COLOURS
from mrnetlib.names import PLANE_TITLES, TASK_TITLES
from mrnetlib.reading.pictures import coloured, laid, strongest
from mrnetlib.reading.reading import PlaneReading, Reading

#: Side of a shown slice in pixels of the screen.
SHOWN = 300

#: What the script finds a plane's widgets by.
CLASS = "mrnetlib-plane"

#: The wheel over a plane, and the arrow keys after a click on it, move its slider. JupyterLab is
#: asked to leave these keys alone there.
SCRIPT = """
(() => {
  if (window.mrnetlibSlices) return;
  window.mrnetlibSlices = true;
  const plane = event => event.target.closest?.('.CLASS');
  const press = (box, key) => box.querySelector('.noUi-handle').dispatchEvent(
    new KeyboardEvent('keydown', {key, bubbles: true}));
  document.addEventListener('wheel', event => {
    const box = plane(event);
    if (!box) return;
    event.preventDefault();
    event.stopPropagation();
    press(box, event.deltaY > 0 ? 'ArrowRight' : 'ArrowLeft');
  }, {passive: false, capture: true});
  for (const name of ['pointerover', 'focusin']) document.addEventListener(name, event => {
    const box = plane(event);
    if (box) box.dataset.lmSuppressShortcuts = 'true';
  }, true);
  document.addEventListener('click', event => {
    if (event.target.tagName === 'IMG') plane(event)?.querySelector('.noUi-handle').focus();
  }, true);
})();
""".replace("CLASS", CLASS)


def crossing(own: Grid, other: Grid, size: int) -> np.ndarray:
    """Where another slice cuts one, bool (size, size): a line a pixel wide, none for parallel ones.

    Parameters
    ----------
    own, other : where the two slices' pixels lie in the patient.
    size : side of `own` in pixels.
    """
    normal = np.cross(other.across, other.down)
    right, down = (own.pixel * float(normal @ way) for way in (own.across, own.down))
    steepest = max(abs(right), abs(down))
    if steepest < 1e-3 * own.pixel:
        return np.zeros((size, size), bool)
    rows, columns = np.mgrid[:size, :size]
    distance = float(normal @ (own.first - other.first)) + right * columns + down * rows
    return np.abs(distance) <= 0.5 * steepest


def laid_over(one: PlaneReading, index: int, task: str | None) -> np.ndarray:
    """A slice, (H, W, 3) uint8, with a task's evidence over it; None for the slice alone."""
    shown = np.repeat(one.slices[index][..., None], 3, axis=-1)  # (H, W) -> (H, W, 3)
    if task is None:
        return shown
    found = one.evidence[task]
    return laid(coloured(found.shown(index), strongest(found)), shown)


def picture(
    one: PlaneReading, index: int, task: str | None, others: dict[str, Grid] | None = None
) -> bytes:
    """A slice as PNG, with a task's evidence over it, and the lines where other planes' slices cut
    it.

    Parameters
    ----------
    task : None for the slice alone.
    others : plane -> where its slice lies; drawn in the plane's colour.
    """
    shown = laid_over(one, index, task)
    own = one.source.grids()[index] if one.source else None
    for plane, other in (others or {}).items():
        if own is not None and other is not None:
            line = crossing(own, other, len(shown))
            shown[line] = shown[line] // 2 + np.array(ImageColor.getrgb(_line(plane))) // 2
    image = Image.fromarray(shown)
    file = io.BytesIO()
    image.resize((SHOWN, SHOWN), Image.Resampling.NEAREST).save(file, "PNG")
    return file.getvalue()


def _line(plane: str) -> str:
    return PLANE_COLOURS.get(plane, "#FFFFFF")


class Browser:
    """The planes of a reading side by side; a notebook shows it as a cell's last value.

    Attributes
    ----------
    sliders, images : by plane.
    task, colours : which task's evidence is shown, and whether it is.
    """

    def __init__(self, reading: Reading):
        self.reading = reading
        tasks = list(reading.probabilities)
        options = [(TASK_TITLES.get(task, task), task) for task in tasks]
        self.task = ipywidgets.Dropdown(options=options, description="Evidence")
        self.colours = ipywidgets.Checkbox(True, description="show it")
        self.sliders, self.images, columns = {}, {}, []
        for plane, one in reading.planes.items():
            slider = ipywidgets.IntSlider(
                one.telling[tasks[0]][0], 0, len(one.slices) - 1, description="slice",
                layout={"width": "98%"}, style={"description_width": "40px"},
            )  # fmt: skip
            image = ipywidgets.Image(format="png", width=SHOWN, height=SHOWN)
            title = PLANE_TITLES.get(plane, plane)
            name = ipywidgets.HTML(f'<b style="color:{_line(plane)}">{title}</b>')
            column = ipywidgets.VBox([name, image, slider])
            column.layout.overflow = "hidden"  # of what is a few pixels too wide
            columns.append(column.add_class(CLASS))
            self.sliders[plane], self.images[plane] = slider, image
        for widget in (self.task, self.colours, *self.sliders.values()):
            widget.observe(self.show, "value")
        choice = ipywidgets.HBox([self.task, self.colours])
        self.box = ipywidgets.VBox([choice, ipywidgets.HBox(columns)])
        self.show()

    def show(self, _: object = None) -> None:
        """Draw all planes again, each with the lines of the others."""
        grids = {
            plane: one.source.grids()[self.sliders[plane].value] if one.source else None
            for plane, one in self.reading.planes.items()
        }
        task = self.task.value if self.colours.value else None
        for plane, one in self.reading.planes.items():
            others = {name: grid for name, grid in grids.items() if name != plane}
            self.images[plane].value = picture(one, self.sliders[plane].value, task, others)

    def most_telling(self) -> None:
        """Go to the slices with the most evidence for the chosen task."""
        for plane, one in self.reading.planes.items():
            self.sliders[plane].value = one.telling[self.task.value][0]

    def _ipython_display_(self) -> None:
        display(self.box, Javascript(SCRIPT))


def sheets(one: PlaneReading, task: str) -> np.ndarray:
    """All slices of a plane with a task's evidence over them, for a picture: (S, H, W, 3) uint8."""
    return np.stack([laid_over(one, index, task) for index in range(len(one.slices))])
