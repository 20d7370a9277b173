"""Questions asked of a trace, one per file. Pure: values in, values out; words and units are the report's business."""
