from manager import FMKManager

print(FMKManager.ranks)
