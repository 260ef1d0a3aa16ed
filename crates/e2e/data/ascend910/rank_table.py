class RankTable:
    devices = ()
