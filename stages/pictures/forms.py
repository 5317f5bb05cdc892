"""Picture formats: their file endings, their first bytes, and which of them are decoded."""

import re
from dataclasses import dataclass

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif")
HEAD_BYTES = 128  # of a file, which tell its form


@dataclass(frozen=True)
class Form:
    """A form of pictures; `decoder` is its name in FORMATS, if it is there."""

    label: str  # for people
    decoder: str
    endings: tuple[str, ...]
    begins: str = ""  # a pattern of the first bytes, in Latin-1

    @property
    def is_read(self) -> bool:
        return self.decoder in FORMATS


# Not in the order of anything but of how often they are met; the first whose bytes fit is it.
FORMS = (
    Form("JPEG", "JPEG", (".jpg", ".jpeg", ".jpe", ".jfif", ".jfi", ".jif", ".pjpeg", ".pjp",
         ".mpo"), "\xff\xd8\xff"),
    Form("PNG", "PNG", (".png", ".apng"), "\x89PNG\r\n\x1a\n"),
    Form("WebP", "WEBP", (".webp",), "RIFF....WEBP"),
    Form("GIF", "GIF", (".gif",), "GIF8[79]a"),
    Form("BMP", "BMP", (".bmp", ".dib"), "BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\0{3}"),
    Form("camera raw", "RAW", (".raw", ".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw",
         ".sr2", ".srf", ".srw", ".raf", ".orf", ".rw2", ".rwl", ".pef", ".x3f", ".3fr", ".fff",
         ".iiq", ".erf", ".mef", ".mos", ".mrw", ".kdc", ".dcr"),
         "II\\*\0.{4}CR|.{4}ftypcrx |FUJIFILMCCD-RAW|II(RO|RS|U\0)|MMOR|FOVb"),
    Form("TIFF", "TIFF", (".tif", ".tiff"), "II[*+]\0|MM\0[*+]"),
    Form("AVIF", "AVIF", (".avif", ".avifs"), ".{4}ftyp(avi[fs]|(mif|msf)1.*avif)"),
    Form("HEIC or HEIF", "HEIF", (".heic", ".heif", ".hif", ".heics", ".heifs"),
         ".{4}ftyp(he|mif|msf)"),
    Form("JPEG XL", "JXL", (".jxl",), "\xff\x0a|\0\0\0\x0cJXL "),
    Form("JPEG 2000", "JPEG2000", (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".jpm"),
         "\0\0\0\x0cjP  |\xff\x4f\xff\x51"),
    Form("Photoshop (PSD)", "PSD", (".psd", ".psb"), "8BPS"),
    Form("SVG", "SVG", (".svg", ".svgz"), "<svg"),
    Form("Icon", "ICO", (".ico", ".cur")),
    Form("Apple icon", "ICNS", (".icns",), "icns"),
    Form("TGA", "TGA", (".tga",)),
    Form("OpenEXR", "EXR", (".exr",), "v/1\x01"),
    Form("Radiance HDR", "HDR", (".hdr",), r"#\?(RADIANCE|RGBE)"),
    Form("DDS", "DDS", (".dds",), "DDS "),
    Form("Portable anymap", "PPM", (".ppm", ".pgm", ".pbm", ".pnm", ".pam", ".pfm")),
    Form("QOI", "QOI", (".qoi",), "qoif"),
    Form("PCX", "PCX", (".pcx", ".dcx")),
    Form("GIMP", "XCF", (".xcf",), "gimp xcf"),
    Form("JPEG XR", "JXR", (".jxr", ".wdp", ".hdp"), "II\xbc\x01"),
    Form("PostScript", "EPS", (".eps", ".ai"), "%!PS-Adobe"),
    Form("Windows metafile", "WMF", (".wmf", ".emf")),
    Form("SGI", "SGI", (".sgi",)),
    Form("X bitmap", "XBM", (".xbm", ".xpm")),
    Form("FITS", "FITS", (".fit", ".fits"), "SIMPLE  ="),
    Form("DICOM", "DICOM", (".dcm", ".dicom")),
    Form("FLIF", "FLIF", (".flif",), "FLIF"),
    Form("BPG", "BPG", (".bpg",), "BPG\xfb"),
)  # fmt: skip
BY_ENDING = {ending: form for form in FORMS for ending in form.endings}
RAW = BY_ENDING[".raw"]
_BYTES = [
    (re.compile(form.begins.encode("latin-1"), re.DOTALL), form) for form in FORMS if form.begins
]


def form_of_bytes(head: bytes) -> Form | None:
    return next((form for pattern, form in _BYTES if pattern.match(head)), None)


def unread_form(head: bytes, ending: str = "") -> str | None:
    """Say what a picture is if no decoder reads its form; bytes count before the name's ending.

    A raw picture of a camera may look like a TIFF file, whose first picture is but a thumbnail.
    """
    by_name = BY_ENDING.get(ending)
    form = form_of_bytes(head[:HEAD_BYTES]) or by_name
    if form is not None and form.label == "TIFF" and by_name is RAW:
        form = RAW
    if form is None or form.is_read:
        return None
    article = "an" if form.label[0] in "AEIOSX" else "a"  # as the names of forms are spoken
    return f"{article} {form.label} picture, which is not read"
