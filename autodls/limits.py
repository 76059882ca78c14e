"""How large what comes from outside may be, in one place, with the reason of each limit.

Whatever is read is held against these before memory is taken for it. They stand far above what a study needs, and far
below what takes a machine down: reading any one file takes less than a minute, and about 1 GiB at most; an image at
its limit takes 4.
"""

MOST_JSON_BYTES = 1 << 26  # splits of 100,000 cases in five folds are 10 MiB
MOST_JSON_VALUES = 1 << 20  # a value may take 100 bytes, and 800 more where it is a key that nobody knows
MOST_TABLE_BYTES = 1 << 26  # 16 bytes for each of the cells below
MOST_ROWS = 1 << 18  # a row is a case with images: 2 KiB by the time that it is joined with them
MOST_CELLS = 1 << 22  # 60,000 genes of 70 cases; 150 bytes each
MOST_CELL_SIGNS = 32_767  # as in Excel
MOST_NAME_SIGNS = 1000  # what is longer is compared as it stands: to normalize it takes the square of its length
MOST_SHOWN = 2000  # lines of a table in the terminal
MOST_LISTED = 1000  # classes, cohorts, columns, codes that dataset.json names: each is sought in every row
MOST_COHORTS = 100  # each is judged on its own
MOST_WORKBOOK_BYTES = 1 << 26  # unpacked; openpyxl reads two copies
MOST_WORKBOOK_ELEMENTS = 1 << 20  # of XML, two or more a cell: openpyxl takes 500 bytes for each
MOST_WORKBOOK_CELLS = 1 << 20  # of the square from A1 to the last cell: blank ones take as much
MOST_FILE_BYTES = 1 << 32  # of weights; an image at its limit of voxels has half as many
MOST_TENSOR_HEADER_BYTES = 1 << 22  # a ResNet-101 has 64 KiB; the library would take 100 MiB of JSON
MOST_INPUT_PX = 1024  # side of a network's input; plans take 224 at most, and time goes by its square
MOST_TOKENS = 4096  # of the fusion, each of which looks at each: 512 px with the smallest encoder
MOST_LAYERS = 64  # of the fusion; plans take 3
MOST_SAMPLE_NUMBERS = 1 << 27  # all planes of all sequences of a case: half a GiB
MAX_VOXELS = 1 << 28  # 645 along each axis; reading so many takes 4 GiB at most
MAX_COMPRESSION = 1100  # DEFLATE cannot shrink by more than 1032
MOST_BESIDE_VOXELS_BYTES = 1 << 24  # headers, extensions: of no use to us
MOST_TEXT_HEADER_BYTES = 1 << 16
