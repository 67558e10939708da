"""What a researcher puts before colleagues: tables, figures and one self-contained page. From records only."""
