"""Personal data in texts: e-mail addresses, telephone, card and bank numbers, IP addresses; found by pattern and checksum.

Presidio's recognisers, without a language model and without the network. Names and postal addresses are not found.
"""

import re
from functools import cached_property

KINDS = ("EMAIL_ADDRESS", "PHONE_NUMBER", "CREDIT_CARD", "IBAN_CODE", "IP_ADDRESS")
REGIONS = ("CN", "HK", "US", "GB", "DE", "FR", "IN")
WORTH = re.compile(r"@|\d[\d\W]{5,}\d|[A-Z]{2}\d{2}")  # nothing is found in what has none of these
SURE = 0.4
KEPT = 2  # characters of a sample that are shown


class PersonalData:
    """Find what looks personal in a text."""

    @cached_property
    def _recognisers(self) -> list[tuple[str, object]]:
        from presidio_analyzer.predefined_recognizers import (
            CreditCardRecognizer,
            EmailRecognizer,
            IbanRecognizer,
            IpRecognizer,
            PhoneRecognizer,
        )
        from tldextract import TLDExtract

        suffixes = TLDExtract(suffix_list_urls=(), cache_dir=None)  # the list it comes with: nothing is fetched

        class OfflineEmailRecognizer(EmailRecognizer):  # type: ignore[misc]
            def validate_result(self, pattern_text: str) -> bool:
                return bool(suffixes(pattern_text).fqdn)

        phone = PhoneRecognizer(supported_regions=REGIONS)
        return list(
            zip(
                KINDS,
                (OfflineEmailRecognizer(), phone, CreditCardRecognizer(), IbanRecognizer(), IpRecognizer()),
                strict=True,
            )
        )

    def find(self, text: str) -> list[tuple[str, str]]:
        """What was found: its kind and the piece of the text, without overlaps; the earlier kinds first."""
        if not WORTH.search(text):
            return []
        found: list[tuple[str, int, int]] = []
        for kind, recogniser in self._recognisers:
            for result in recogniser.analyze(text, [kind], None) or ():  # type: ignore[attr-defined]
                free = all(result.end <= start or result.start >= end for _, start, end in found)
                if result.score >= SURE and free:
                    found.append((kind, result.start, result.end))
        return [(kind, text[start:end]) for kind, start, end in found]


def masked(piece: str) -> str:
    """The first two characters; of the rest only what is neither letter nor digit."""
    return piece[:KEPT] + re.sub(r"\w", "*", piece[KEPT:])
