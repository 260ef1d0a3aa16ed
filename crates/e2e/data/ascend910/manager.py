from fmk import FMK


class FMKManager:
    ranks = [FMK]
