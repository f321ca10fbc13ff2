"""Pages of PDF documents: wrapped texts, page after page."""
