"""A statement and a course as one page that needs nothing but a browser: offline, in English and Chinese, light and dark, on paper too."""
